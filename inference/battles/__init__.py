"""Two answers side by side, without names: which one is better?"""
