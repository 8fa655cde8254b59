"""The verb ``nsys``: profile what many processes serve together, and read all of them."""
