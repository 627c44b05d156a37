"""The backends that ship with Hoonify Router, registered through the same entry points as anyone's."""
