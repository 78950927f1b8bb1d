"""STIX 2.1 objects: reading, schemas, validation, upgrade from 2.0, references."""
