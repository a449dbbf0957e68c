package cache

import (
	"fmt"
	"log"
	"strconv"
	"strings"
)

// All that is written to Traefik's log is written here. Inside Traefik's interpreter
// what log and fmt write to is Traefik's logger, at its levels error and debug, which
// knows the plugin's name, the format and the file; the process's own standard error
// and output are not.

// maxLine is how many bytes of a line are written: parts of it are a client's.
const maxLine = 2000

// writeError writes a line at the level error.
func writeError(line string) {
	_, _ = fmt.Fprintln(log.Writer(), oneLine(line)) // not log.Print, which puts a time of its own before it
}

// writeDebug writes a line at the level debug.
func writeDebug(line string) {
	fmt.Println(oneLine(line))
}

// oneLine bounds a text, and escapes line breaks and whatever else is not printed, as
// Go does in a string. It escapes backslashes, too, so that nobody can write an escape.
func oneLine(s string) string {
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "…"
	}
	s = strconv.Quote(s)
	return strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`)
}
