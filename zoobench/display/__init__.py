"""What all pages share, the report of a study and the leaderboard's: templates, style, script, plots, text."""
