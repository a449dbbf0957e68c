package site

import (
	"io"
	"log"
	"os"
	"strings"
	"sync"
)

// Log is what the plugin has written at the level error, compiled or interpreted. It goes to
// standard error, too.
var Log = &logged{}

type logged struct {
	mu    sync.Mutex
	lines []string
}

func init() {
	log.SetOutput(Log)
}

// Write takes a line.
func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	l.lines = append(l.lines, string(b))
	l.mu.Unlock()
	return os.Stderr.Write(b)
}

// Mark returns a place in the log for With.
func (l *logged) Mark() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.lines)
}

// With returns the lines since a mark that have a text.
func (l *logged) With(text string, mark int) (found []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines[mark:] {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

var _ io.Writer = Log
