"""Files: written to and taken from a folder of this machine or of an SFTP server."""
