"""`models` compiled to machine code with mypyc: `deploy/compile`."""
