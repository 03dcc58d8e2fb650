"""Write the dashboards that Grafana is given: `python -m deploy.grafana`."""

from deploy.grafana.files import FOLDER, written

if __name__ == "__main__":
    for name, text in written().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(f"{FOLDER.name}/{name}")
