package faults_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

// faultHead is the head of the table of faults, in docs/failures.md.
const faultHead = "| what fails | visitors meanwhile | purges meanwhile |"

// faultRows puts what was measured into rows: faults of which the same came make
// one.
func faultRows(list []verdict) []string {
	names := map[string]string{"redis": "Redis", "traefik": "Traefik", "odoo": "Odoo"}
	var order []verdict
	faults := map[verdict][]string{}
	for _, v := range list {
		class := verdict{Part: v.Part, Visitors: v.Visitors, Purges: v.Purges}
		if faults[class] == nil {
			order = append(order, class)
		}
		faults[class] = append(faults[class], v.Fault)
	}
	rows := make([]string, 0, len(order))
	for _, class := range order {
		rows = append(rows, "| "+names[class.Part]+": "+strings.Join(faults[class], "; ")+" | "+class.Visitors+" | "+class.Purges+" |")
	}
	return rows
}

// TestReadmeFaults holds the table of faults against what the fault
// suite has measured; -update writes it.
func TestReadmeFaults(t *testing.T) {
	rows := faultRows(writtenFaults(t))
	path, text := site.DocumentWith(t, faultHead)
	before, rest, found := strings.Cut(text, faultHead+"\n|---|---|---|\n")
	require.True(t, found, "the head of the table")
	table, after, found := strings.Cut(rest, "\n\n")
	require.True(t, found, "the end of the table")
	if *update {
		text = before + faultHead + "\n|---|---|---|\n" + strings.Join(rows, "\n") + "\n\n" + after
		require.NoError(t, os.WriteFile(source.Path(path), []byte(text), 0o600))
		return
	}
	assert.Equal(t, rows, strings.Split(table, "\n"))
}

// TestFaultsAreAllWrittenDown: a fault that is new, renamed or gone shows without
// a run of the suite.
func TestFaultsAreAllWrittenDown(t *testing.T) {
	var want, got []string
	for _, f := range allFaults() {
		want = append(want, f.part+": "+f.name)
	}
	for _, v := range writtenFaults(t) {
		got = append(got, v.Part+": "+v.Fault)
	}
	assert.ElementsMatch(t, want, got, "LONG=1 go test ./test/faults -update writes testdata/faults.json")
	for _, name := range sample {
		assert.Contains(t, strings.Join(want, "\n"), name)
	}
}
