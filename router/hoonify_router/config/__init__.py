"""Configuration: typed structures, a strict YAML loader and the JSON Schema made from them."""
