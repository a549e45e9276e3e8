"""What a drill promises and how it is judged: pure accounting. Real processes are started by `app.drill`."""
