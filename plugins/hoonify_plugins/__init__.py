"""The middleware plugins that ship with Hoonify Router, registered like anyone's."""
