"""The text on which tiny-chat is trained, written by a program from facts and word lists."""
