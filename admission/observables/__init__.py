"""Types of indicators of compromise: recognising them, refanging, one spelling for one value."""
