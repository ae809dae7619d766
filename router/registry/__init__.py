"""registry.yaml: read strictly, checked whole, turned into a frozen `Registry`, and swapped while requests run."""
