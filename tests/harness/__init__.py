"""Boots the real server, talks to it as its peers do, and looks at what is left when it is gone."""
