package memory

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/cache/storage"
)

// TestSessionsInMemory: no more are known than may be, and a mark finds a session wherever it is.
func TestSessionsInMemory(t *testing.T) {
	for _, most := range []int{1, 2, 3, 10} {
		m := New(1000, 10)
		begun := 0
		kind := func(session string) storage.SessionKind {
			return storage.KindOfScore(m.sessionOf("t", session), storage.NowMS())
		}
		for i := 0; i < 500; i++ {
			begun++
			require.NoError(t, m.NoteDefault("t", fmt.Sprint(begun), 3600000, most))
			for j := begun; j > begun-most && j > 0; j-- { // as many as may be are in use
				if i%3 == 0 {
					m.sessionOf("t", fmt.Sprint(j))
				}
			}
			require.LessOrEqual(t, len(m.sessions)+len(m.older), most)
			require.Equal(t, storage.SessionDefault, kind(fmt.Sprint(begun)))
			if marked := fmt.Sprint(begun - i%most); i%5 == 0 {
				_, err := m.Mark("t", []string{marked}, true, storage.NowMS()+3600000)
				require.NoError(t, err)
				require.NotEqual(t, storage.SessionDefault, kind(marked))
			}
		}
	}
}
