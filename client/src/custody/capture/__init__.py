"""What a step can see of itself: its files, its source, its environment, its secrets.

Everything here only reads. It runs on the step's own machine, so all it finds
is *reported*; the modules take care that it is at least found correctly: links
are never followed, a file that changes while it is read is named as such, and
an index or a time stamp that somebody prepared never hides a change.

Nothing is imported here, so that `import custody.capture` costs nothing; import
the module that you need. File names are `str` as `os.fsdecode` makes them
(surrogateescape), so that every name of a POSIX file system can be opened again;
`custody.capture.names` makes the form that goes over the wire.
"""
