package storequeue

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzMessage(f *testing.F) {
	f.Add(appendMessage(nil, &message{id: [idSize]byte{1}, sent: 2, since: 3, group: "g", body: []byte("body")}))
	f.Add([]byte{})
	f.Add([]byte{recordFormat, 0xff})
	f.Add(append(bytes.Repeat([]byte{recordFormat}, messageOverhead-1), 0xff, 'g'))
	f.Fuzz(func(t *testing.T, rec []byte) {
		m, err := parseMessage(rec)
		if err != nil {
			return
		}
		if diff := cmp.Diff(rec, appendMessage(nil, &m)); diff != "" {
			t.Fatalf("record (-want +got):\n%s", diff)
		}
	})
}

func FuzzReception(f *testing.F) {
	f.Add(appendReception(nil, reception{receives: 1, received: 2, deadline: 3, nonce: 4}))
	f.Add([]byte{})
	f.Add(bytes.Repeat([]byte{0xff}, receptionRecordSize))
	f.Fuzz(func(t *testing.T, rec []byte) {
		r, err := parseReception(rec)
		if err != nil {
			return
		}
		if diff := cmp.Diff(rec, appendReception(nil, r)); diff != "" {
			t.Fatalf("record (-want +got):\n%s", diff)
		}
	})
}

func FuzzSort(f *testing.F) {
	f.Add(messageSort(1 << openingShift))
	f.Add(messageSort(7) + receptionMark)
	f.Add("")
	f.Fuzz(func(t *testing.T, sort string) {
		number, isReception, err := parseSort(sort)
		if err != nil {
			return
		}
		again := messageSort(number)
		if isReception {
			again += receptionMark
		}
		if again != sort {
			t.Fatalf("key %q became %q", sort, again)
		}
	})
}

// A receipt comes from a consumer.
func FuzzReceipt(f *testing.F) {
	f.Add(receiptOf(1<<openingShift|1, 2))
	f.Add("")
	f.Add("AAAAAAAAAAAAAAAAAAAAAB")
	f.Fuzz(func(t *testing.T, receipt string) {
		number, nonce, ok := parseReceipt(receipt)
		if !ok {
			return
		}
		n, o, ok := parseReceipt(receiptOf(number, nonce))
		if !ok || n != number || o != nonce {
			t.Fatalf("receipt %q became %d, %d", receipt, n, o)
		}
	})
}
