package gzip_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/odoocache/odoocache/test/measure"
	"github.com/odoocache/odoocache/test/site"
	"github.com/odoocache/odoocache/test/source"
)

const (
	gzipBegin = "<!-- make bench-gzip -->\n"
	gzipEnd   = "<!-- end of levels -->"
)

// TestGzipLevels measures for make bench-gzip what each level of gzip takes of a
// processor's time and of room, so that the option compression has a default that was
// chosen for a reason. It is Go's own gzip, which an interpreter calls as it is.
func TestGzipLevels(t *testing.T) {
	site.NeedLong(t, "bench-gzip")
	const rounds = 31
	pages := []string{measure.Captured(t, "product-desk"), measure.Captured(t, "shop")}
	table := fmt.Sprintf("\n| level | product, %d bytes | bytes | /shop, %d bytes | bytes |\n| --- | --- | --- | --- | --- |\n", len(pages[0]), len(pages[1]))
	took := make([][][]float64, gzip.BestCompression+1)
	sizes := make([][]int, gzip.BestCompression+1)
	for round := 0; round < rounds; round++ {
		for level := gzip.BestSpeed; level <= gzip.BestCompression; level++ {
			if round == 0 {
				took[level], sizes[level] = make([][]float64, len(pages)), make([]int, len(pages))
			}
			for i, page := range pages {
				var b bytes.Buffer
				w, err := gzip.NewWriterLevel(&b, level)
				require.NoError(t, err)
				_, err = w.Write([]byte("warm")) // the writer's own room is made
				require.NoError(t, err)
				b.Reset()
				w.Reset(&b)
				start := time.Now()
				_, err = w.Write([]byte(page))
				require.NoError(t, err)
				require.NoError(t, w.Close())
				took[level][i] = append(took[level][i], time.Since(start).Seconds()*1000)
				sizes[level][i] = b.Len()
			}
		}
	}
	for level := gzip.BestSpeed; level <= gzip.BestCompression; level++ {
		table += fmt.Sprintf("| %d", level)
		for i := range pages {
			table += fmt.Sprintf(" | %.2f ms | %d", measure.Median(took[level][i]), sizes[level][i])
		}
		table += " |\n"
	}
	table += "\n"
	fmt.Print(strings.TrimPrefix(table, "\n"))
	path := source.Path(measure.Folder, measure.ProfileFile)
	old, err := os.ReadFile(path)
	require.NoError(t, err)
	page, err := measure.Into(string(old), gzipBegin, gzipEnd, table)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(page), 0o644))
}
