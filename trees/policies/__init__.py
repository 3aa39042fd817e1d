"""The rules of trees as administrators set them: versions in the database, and their application to running trees."""
