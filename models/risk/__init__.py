"""How likely trouble is: features of a borrower, and the scorecard that weighs them."""
