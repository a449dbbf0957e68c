package repo_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/odoocache/odoocache/test/source"
)

// TestMain runs the tests in the root of the repository: links between pages go from there.
func TestMain(m *testing.M) {
	root, err := source.Root()
	if err == nil {
		err = os.Chdir(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}
