"""Write-once copies of journals, encrypted to an offline key."""
