"""What answers on each page: one module for each thing that people do at the desk."""
