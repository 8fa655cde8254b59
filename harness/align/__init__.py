"""From two observed sides to checks with reasons and one verdict; nothing here prints."""
