"""Compares the settings with how they are used, and proposes changes as option lines.

``use`` counts events, ``rules`` judge the counts, ``report`` is what is shown.
Nothing here changes a setting.
"""
