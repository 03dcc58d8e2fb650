"""One early warning a file: plain functions over a borrower's evidence."""
