"""Local web page on which a person explores a model of a table; `pushforward explore` serves it."""
