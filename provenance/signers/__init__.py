"""Where keys live: one module per key source."""
