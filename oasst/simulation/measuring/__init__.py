"""What the site costs: time, statements, processor and written bytes of tasks, pages, boards and the API."""
