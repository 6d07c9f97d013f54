"""Evidence held fast outside the registry: anchors of the journal, and what they say of the registry itself."""
