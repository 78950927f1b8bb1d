"""Finding indicators in what people write; shared by the formats."""
