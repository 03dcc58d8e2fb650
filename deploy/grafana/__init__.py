"""Grafana's dashboards as code: one a file, made of `panels`; `python -m deploy.grafana` writes them as JSON."""
