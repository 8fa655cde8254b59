"""Scripts that measure, and the planted differences that prove the checks. Results: results/."""
