"""Who may ask, and how: routes, problems, authentication, wiring, operator commands."""
