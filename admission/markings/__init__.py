"""Data markings: TLP, granular markings, ACS, and consent to be named."""
