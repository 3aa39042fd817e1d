"""Statistics of people's judgments: agreement, scores from rankings, and their uncertainty.

Pure: plain data in and out, no database, no other part of the site, standard library only. The same input gives the
same bits in every process, whatever its order.
"""
