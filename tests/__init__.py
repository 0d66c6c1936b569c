"""The tests of hubbub; a folder for each part of it."""
