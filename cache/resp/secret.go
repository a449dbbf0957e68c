package resp

import (
	"sync"
	"time"
)

// Secret is a password that is kept somewhere, such as in a file, where it may be another one
// some day. It is read again when a server refuses it.
type Secret struct {
	read func() (string, error)

	mu    sync.Mutex
	value string
	asked time.Time // for another one
	err   error     // of that
}

// readPause is the time between two readings of a secret. Without it each request would
// read while the password is wrong.
const readPause = time.Second

// NewSecret returns the secret with the value that was read already. read reads it again; its
// errors are shown, so that they may hold nothing of it.
func NewSecret(value string, read func() (string, error)) *Secret {
	return &Secret{value: value, read: read}
}

// current returns the password as it was last read.
func (s *Secret) current() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// renewed returns a password in place of one that was refused, ok if there is another one. err
// says why it could not be read.
func (s *Secret) renewed(refused string) (password string, ok bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.value != refused {
		return s.value, true, nil
	}
	if time.Since(s.asked) >= readPause {
		s.asked = time.Now()
		value, err := s.read()
		s.err = err
		if err == nil {
			s.value = value
		}
	}
	return s.value, s.value != refused, s.err
}
