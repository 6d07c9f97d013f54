"""What we need of the outside, as Protocols with numbered contracts."""
