package redis

import (
	"bytes"
	"hash/crc32"
	"math/rand"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/odoocache/odoocache/cache/resp"
	"github.com/odoocache/odoocache/cache/storage"
	"github.com/odoocache/odoocache/keys"
)

// What is asked at every hit is sent as bytes that are ready, and its answer compared with
// the bytes that are expected, see resp.Expect.

// Remote implements Storage.
func (s *Redis) Remote() storage.Remote {
	return s
}

// Apart implements Remote.
func (s *Redis) Apart() bool {
	return s.cluster != nil
}

// Question implements Remote.
func (s *Redis) Question(tenant string, head storage.Head, era int64) *storage.Question {
	return &storage.Question{Tenant: tenant, Head: head, Era: era, Expect: position(head), Ask: askPosition(tenant)}
}

// askPosition is what asks for the position of a tenant.
func askPosition(tenant string) string {
	marks := keys.Marks(tenant)
	return encoded("ZSCORE", marks, "!s") + encoded("ZSCORE", marks, "!e")
}

// position is what Redis answers.
func position(head storage.Head) string {
	return bulk(head.Seq) + bulk(head.Epoch)
}

// encoded is a command as it is sent.
func encoded(args ...string) string {
	return string(resp.Encoded(resp.Command{Args: args}))
}

func bulk(n int64) string {
	s := strconv.FormatInt(n, 10)
	return "$" + strconv.Itoa(len(s)) + "\r\n" + s + "\r\n"
}

// echo begins a command to repeat a nonce, see ask.
const echo = "*2\r\n$4\r\nECHO\r\n$13\r\n"

// Compare implements Remote: one round trip.
func (s *Redis) Compare(q *storage.Question, page *storage.Page, now time.Time) (answer []byte, outcome resp.Outcome) {
	nonce := strconv.FormatUint(rand.Uint64()|1<<63, 36) + "\r\n" // as in newNonce
	e := &resp.Expected{Replies: 3, Lead: q.Expect, End: "$13\r\n" + nonce}
	if page == nil {
		e.Request = []byte(q.Ask + echo + nonce)
	} else {
		e.Request = []byte(q.Ask + page.Get + echo + nonce)
		e.Replies = 4
		e.Lead += page.Lead
		e.Size = len(page.Head) + page.Rest
		e.End = "\r\n" + e.End
	}
	if s.cluster != nil {
		return s.cluster.Expect(keys.Marks(q.Tenant), q.Era, now, e)
	}
	return resp.Expect(s.client, q.Era, now, e)
}

// Prepare implements Remote. The entry that r has from then on lacks its body.
func (s *Redis) Prepare(r *storage.Ready, id string) error {
	if r.Page == nil {
		page, err := pageOf(s, r.Entry, id)
		if err != nil {
			return err
		}
		r.Page = page
		bare := *r.Entry
		bare.Body = nil
		r.Entry = &bare
		r.Stored.Body = nil
	}
	r.Request = askPosition(r.Entry.Tenant) + r.Page.Get + echo
	r.Reply = position(storage.Head{Seq: r.Seq, Epoch: r.Entry.Epoch}) + r.Page.Lead + r.Page.Head
	return nil
}

// pageOf is an entry as it is stored. Where it is encrypted, that is known of one that was read.
func pageOf(s *Redis, e *storage.Entry, id string) (*storage.Page, error) {
	get := encoded("GET", keys.Entry(e.Tenant, id))
	if x := e.Sealed; x != nil {
		return &storage.Page{Get: get, Lead: lead(len(x.First) + x.Bytes), Head: x.First, Sum: x.Sum, Body: len(e.Body), Rest: x.Bytes}, nil
	}
	if s.ring != nil {
		return nil, storage.ErrPlain
	}
	value, err := storage.Encode(e)
	if err != nil {
		return nil, err
	}
	head := value[:len(value)-len(e.Body)]
	from := bytes.IndexByte(head, '\n') + 1
	return &storage.Page{
		Get: get, Lead: lead(len(value)), Head: string(head), Body: len(e.Body), Rest: len(e.Body),
		Part: crc32.Checksum(head[from:], storage.Castagnoli), Sum: crc32.Checksum(value[from:], storage.Castagnoli),
	}, nil
}

// lead is what the reply with so many bytes begins with.
func lead(size int) string {
	return "$" + strconv.Itoa(size) + "\r\n"
}

// Exchange implements Remote. There is none in a cluster, which moves keys between nodes.
func (s *Redis) Exchange(q *storage.Question, r *storage.Ready, kept []byte) *storage.Exchange {
	if s.cluster != nil {
		return nil
	}
	x := &storage.Exchange{
		Client: s.client, Question: q, Get: r.Page.Get, Request: r.Request, Reply: r.Reply,
		Body: r.Page.Rest, Replies: 4, Sum: &resp.Checksum{Part: r.Page.Part, Sum: r.Page.Sum, Unseen: kept != nil}, Kept: kept,
	}
	if r.Entry.Sealed != nil && kept == nil { // it will be decrypted, which tells more
		x.Sum = nil
	}
	return x
}

// Body gets the stored body of a page that is ready, or says that it is as it was by
// returning what is kept in its place. It is nil if anything is not as it was: then the
// outcome is to be told, see tier.NotFetched. Of an entry that is encrypted it is what storage.Opened
// decrypts.
//
// The license says whether what is known of purges is as it was: it ends with the question.
// Nothing is confirmed.
func Body(x *storage.Exchange, now time.Time) (body []byte, outcome resp.Outcome) {
	if atomic.LoadInt64(x.Licensed) == 0 || x.Failures.Load() > 0 {
		return nil, resp.Differs
	}
	end := strconv.FormatUint(rand.Uint64()|1<<63, 36) + "\r\n" // as in newNonce
	body, outcome = resp.Expect(x.Client, x.Question.Era, now, &resp.Expected{
		Request: []byte(x.Request + end), Replies: x.Replies, Lead: x.Reply, Size: x.Body, End: "\r\n$13\r\n" + end, Sum: x.Sum,
	})
	if outcome != resp.Matches || atomic.LoadInt64(x.Licensed) == 0 {
		return nil, outcome
	}
	if x.Kept != nil {
		return x.Kept, outcome
	}
	return body, outcome
}

// Hash implements Remote.
func (s *Redis) Hash(key string) ([]string, error) {
	replies, err := s.do(resp.Command{Args: []string{"HGETALL", key}})
	if err != nil {
		return nil, err
	}
	items := replies[0].Items
	list := make([]string, 0, len(items))
	for i := 0; i < len(items); i++ {
		list = append(list, string(items[i].Body))
	}
	return list, nil
}
