"""Files: the objects that refer to stored files, what is unused, trash."""
