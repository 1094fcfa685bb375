package peer_test

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/types/known/timestamppb"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	operationsv1 "github.com/domicile-api/domicile/gen/domicile/operations/v1"
	peerv1 "github.com/domicile-api/domicile/gen/domicile/peer/v1"
	replicationv1 "github.com/domicile-api/domicile/gen/domicile/replication/v1"
	storagev1 "github.com/domicile-api/domicile/gen/domicile/storage/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/peer"
	"github.com/domicile-api/domicile/internal/queue"
	"github.com/domicile-api/domicile/internal/seal"
	"github.com/domicile-api/domicile/internal/store"
)

func stream() *replicationv1.Stream {
	return &replicationv1.Stream{Tenant: "acme-eu", Feed: replicationv1.Feed_FEED_PROJECTIONS, Origin: string(frankfurt), Lane: 5}
}

func TestSend(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		failed, err := send(t.Context(), w, virginia, frankfurt, "events", "one", "refuse", "two")
		if err != nil || failed[0] != nil || !errors.Is(failed[1], queue.ErrFull) || failed[2] != nil {
			t.Fatalf("Send: %v, %v", failed, err)
		}
		if diff := cmp.Diff([]string{"one", "two"}, w.regions[frankfurt].events.bodies()); diff != "" {
			t.Error(diff)
		}
		if _, err := send(t.Context(), w, virginia, frankfurt, "events", "break"); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("a queue that is closed: %v", err)
		}
		big := repeat("x", queue.MaxMessageBytes)
		if failed, err := send(t.Context(), w, dublin, frankfurt, "sealed", big); err != nil || failed[0] != nil {
			t.Errorf("a message of the greatest size: %v, %v", failed, err)
		}
		if _, err := send(t.Context(), w, dublin, frankfurt, "sealed", big, "x"); !errors.Is(err, queue.ErrTooLarge) {
			t.Errorf("more than the greatest size: %v", err)
		}
		if _, err := send(t.Context(), w, dublin, frankfurt, "events.dead", "x"); !fault.Is(err, errorsv1.Reason_REASON_NOT_FOUND) {
			t.Errorf("a queue that is not for others: %v", err)
		}
		for _, bad := range [][]queue.Outgoing{
			nil, make([]queue.Outgoing, 11), {{Group: "", Deduplication: "d"}}, {{Group: "g", Deduplication: "a b"}},
			{{Group: repeat("g", 129), Deduplication: "d"}}, {{Group: "g", Deduplication: "é"}},
		} {
			if _, err := peer.NewSender(w.network(dublin)).Send(t.Context(), frankfurt, "events", bad); !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
				t.Errorf("%d bad messages: %v", len(bad), err)
			}
		}
	})
}

// What is above GLOBAL is taken from regions of the same jurisdiction alone.
func TestJurisdiction(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		for from, lawful := range map[ident.RegionID]bool{dublin: true, frankfurt: true, virginia: false, singapore: false} {
			_, sent := send(t.Context(), w, from, frankfurt, "sealed", "by-"+string(from))
			_, delivered := w.network(from).To(frankfurt).DeliverKey(t.Context(), &peerv1.DeliverKeyRequest{
				Tenant: "acme-eu", Generation: 1, Wrapped: []byte("key"),
			})
			whole := stream()
			whole.Feed = replicationv1.Feed_FEED_STANDBY
			_, digested := w.network(from).To(frankfurt).Digest(t.Context(), &peerv1.DigestRequest{Stream: whole})
			_, fetched := w.network(from).To(frankfurt).Fetch(t.Context(), &peerv1.FetchRequest{Stream: whole, Ids: []string{"usr_1"}})
			for what, err := range map[string]error{"Send": sent, "DeliverKey": delivered, "Digest": digested, "Fetch": fetched} {
				if lawful && err != nil || !lawful && !fault.Is(err, errorsv1.Reason_REASON_PERMISSION_DENIED) {
					t.Errorf("%s from %s: %v", what, from, err)
				}
			}
		}
		if diff := cmp.Diff([]string{"by-" + string(frankfurt), "by-" + string(dublin)}, sorted(w.regions[frankfurt].sealed.bodies())); diff != "" {
			t.Errorf("the sealed queue (-want +got):\n%s", diff)
		}
		if n := len(w.regions[frankfurt].keys); n != 2 {
			t.Errorf("%d keys", n)
		}
	})
}

func TestReplica(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		item := func(name string) peer.Replicated {
			return peer.Replicated{
				Item: store.Item{
					Key: store.Key{Partition: "p\x00\xff", Sort: name}, Version: ident.Version{Epoch: 2, Seq: 1 << 40},
					Tag:     store.Tag{Tenant: "acme-eu", Class: store.ClassGlobal, Jurisdiction: "EU"},
					Expires: time.Unix(1<<31, 0).UTC(), Value: []byte("value\xff"),
				},
				Deleted: true, Time: 1 << 60, Writer: virginia,
			}
		}
		replica := peer.NewReplica[peer.Replicated](w.network(virginia), frankfurt)
		if err := replica.Apply(t.Context(), item("x")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]peer.Replicated{item("x")}, w.regions[frankfurt].items); diff != "" {
			t.Errorf("the item (-want +got):\n%s", diff)
		}
		many := make([]peer.Replicated, 0, 300)
		for i := range 300 {
			one := item(strconv.Itoa(i))
			if i < 5 {
				one.Item.Value = bytes.Repeat([]byte("v"), 390<<10)
			}
			many = append(many, one)
		}
		if err := replica.ApplyAll(t.Context(), many); err != nil {
			t.Fatal(err)
		}
		if n := len(w.regions[frankfurt].items); n != 301 {
			t.Errorf("%d items", n)
		}
		if err := replica.ApplyAll(t.Context(), nil); err != nil {
			t.Error(err)
		}
		for name, change := range map[string]func(*peer.Replicated){
			"no partition": func(r *peer.Replicated) { r.Item.Key.Partition = "" },
			"too large":    func(r *peer.Replicated) { r.Item.Value = make([]byte, 401<<10) },
		} {
			bad := item("bad")
			change(&bad)
			if err := replica.Apply(t.Context(), bad); !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
				t.Errorf("%s: %v", name, err)
			}
		}
		forged := item("bad")
		forged.Writer = frankfurt
		if err := replica.Apply(t.Context(), forged); !fault.Is(err, errorsv1.Reason_REASON_PERMISSION_DENIED) {
			t.Errorf("an item that another region wrote: %v", err)
		}
		w.regions[frankfurt].set(func() { w.regions[frankfurt].fail = store.ErrFull })
		if err := replica.Apply(t.Context(), item("y")); !errors.Is(err, store.ErrFull) {
			t.Errorf("a full store: %v", err)
		}
	})
}

func TestCourier(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		courier, err := peer.NewCourier(peer.CourierConfig{
			Network: w.network(frankfurt),
			PublicKey: func(region ident.RegionID) ([]byte, bool) {
				return []byte("public of " + region), region != virginia
			},
			Wrap: func(_ context.Context, region ident.RegionID, public []byte, tenant ident.TenantID, keyset []byte) ([]byte, error) {
				return bytes.Join([][]byte{[]byte(region), public, []byte(tenant), keyset}, []byte("|")), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		wrapped, err := courier.WrapFor(t.Context(), dublin, "acme-eu", []byte("k"))
		if err != nil || string(wrapped) != "eu-west-1|public of eu-west-1|acme-eu|k" {
			t.Errorf("WrapFor: %q, %v", wrapped, err)
		}
		if _, err := courier.WrapFor(t.Context(), virginia, "acme-eu", nil); !errors.Is(err, seal.ErrUnreachable) {
			t.Errorf("without a public key: %v", err)
		}
		made := timestamppb.New(time.Unix(1<<30, 5))
		delivery := seal.Delivery{
			Key: &storagev1.WrappedKey{Tenant: "acme-eu", Generation: 2, Wrapped: wrapped, CreateTime: made}, Epoch: 7, Ready: true,
		}
		if err := courier.Deliver(t.Context(), dublin, delivery); err != nil {
			t.Fatal(err)
		}
		got := w.regions[dublin].keys[0]
		if got.Epoch != 7 || !got.Ready || got.Key.GetGeneration() != 2 || !bytes.Equal(got.Key.GetWrapped(), wrapped) || !got.Key.GetCreateTime().AsTime().Equal(made.AsTime()) {
			t.Errorf("delivered %v", got)
		}
		for _, want := range []error{seal.ErrConflict, seal.ErrPurged, seal.ErrCannotOpen} {
			w.regions[dublin].set(func() { w.regions[dublin].fail = want })
			if err := courier.Deliver(t.Context(), dublin, delivery); !errors.Is(err, want) || errors.Is(err, seal.ErrUnreachable) {
				t.Errorf("a keyring that says %v: %v", want, err)
			}
		}
		w.crash(dublin)
		if err := courier.Deliver(t.Context(), dublin, delivery); !errors.Is(err, seal.ErrUnreachable) || !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a region that is down: %v", err)
		}
	})
}

func TestRepairsAndOperations(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		to := w.network(singapore).To(frankfurt)
		digest, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: stream(), From: "a", To: "b"})
		if err != nil || digest.GetEpoch() != 3 || digest.GetSeq() != 5 {
			t.Errorf("Digest: %v, %v", digest, err)
		}
		fetched, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream(), Ids: []string{"a", "b"}})
		if err != nil || fetched.GetAnswered() != 2 {
			t.Errorf("Fetch: %v, %v", fetched, err)
		}
		done, err := to.Operate(t.Context(), &peerv1.OperateRequest{
			Request: &peerv1.OperateRequest_GetSyncStatus{GetSyncStatus: &operationsv1.GetSyncStatusRequest{}},
		})
		if err != nil || done.GetResponse() == nil {
			t.Errorf("Operate: %v, %v", done, err)
		}
		if diff := cmp.Diff([]ident.RegionID{singapore, singapore, singapore}, w.regions[frankfurt].callers); diff != "" {
			t.Errorf("the callers (-want +got):\n%s", diff)
		}
		w.regions[frankfurt].set(func() {
			w.regions[frankfurt].response = &peerv1.FetchResponse{States: []*replicationv1.State{{Sealed: make([]byte, 7<<20)}}}
		})
		if big, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream(), Ids: []string{"a"}}); err != nil || len(big.GetStates()[0].GetSealed()) != 7<<20 {
			t.Errorf("a big answer: %v", err)
		}
		alter := func(change func(*replicationv1.Stream)) *replicationv1.Stream {
			s := stream()
			change(s)
			return s
		}
		for name, call := range map[string]func() error{
			"no stream": func() error { _, err := to.Digest(t.Context(), &peerv1.DigestRequest{}); return err },
			"lane": func() error {
				_, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: alter(func(s *replicationv1.Stream) { s.Lane = 8 })})
				return err
			},
			"feed": func() error {
				_, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: alter(func(s *replicationv1.Stream) { s.Feed = 99 })})
				return err
			},
			"origin": func() error {
				_, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: alter(func(s *replicationv1.Stream) { s.Origin = "mars-1" })})
				return err
			},
			"tenant": func() error {
				_, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: alter(func(s *replicationv1.Stream) { s.Tenant = "../x" })})
				return err
			},
			"range": func() error {
				_, err := to.Digest(t.Context(), &peerv1.DigestRequest{Stream: stream(), From: repeat("x", 300)})
				return err
			},
			"no ids": func() error { _, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream()}); return err },
			"many ids": func() error {
				_, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream(), Ids: make([]string, 101)})
				return err
			},
			"empty id": func() error {
				_, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream(), Ids: []string{""}})
				return err
			},
			"nothing":  func() error { _, err := to.Operate(t.Context(), &peerv1.OperateRequest{}); return err },
			"no items": func() error { _, err := to.Replicate(t.Context(), &peerv1.ReplicateRequest{}); return err },
			"no key": func() error {
				_, err := w.network(dublin).To(frankfurt).DeliverKey(t.Context(), &peerv1.DeliverKeyRequest{Tenant: "acme-eu", Generation: 1})
				return err
			},
		} {
			if err := call(); !fault.Is(err, errorsv1.Reason_REASON_INVALID_ARGUMENT) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Errors of a handler arrive with their reason, and without their cause.
func TestErrors(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		to, here := w.network(singapore).To(frankfurt), w.regions[frankfurt]
		for _, test := range []struct {
			fail error
			want errorsv1.Reason
		}{
			{errors.New("secret"), errorsv1.Reason_REASON_INTERNAL},
			{fault.Wrap(errorsv1.Reason_REASON_TENANT_UNKNOWN, errors.New("secret"), "unknown"), errorsv1.Reason_REASON_TENANT_UNKNOWN},
			// That the region does not reach a third one does not make it unreachable.
			{peer.ErrUnreachable, errorsv1.Reason_REASON_INTERNAL},
		} {
			here.set(func() { here.fail = test.fail })
			_, err := to.Fetch(t.Context(), &peerv1.FetchRequest{Stream: stream(), Ids: []string{"a"}})
			if !fault.Is(err, test.want) || errors.Is(err, test.fail) || errors.Is(err, peer.ErrUnreachable) || strings.Contains(err.Error(), "secret") {
				t.Errorf("%v arrives as %v", test.fail, err)
			}
		}
	})
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		if _, err := send(t.Context(), w, virginia, "mars-1", "events", "x"); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a region that there is not: %v", err)
		}
		// A region that goes down while it works gives no answer.
		here := w.regions[frankfurt]
		here.set(func() {
			here.during = func(context.Context) { go w.crash(frankfurt); <-time.After(50 * time.Millisecond) }
		})
		if _, err := w.network(virginia).To(frankfurt).Digest(t.Context(), &peerv1.DigestRequest{Stream: stream()}); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a region that goes down: %v", err)
		}
		if _, err := send(t.Context(), w, virginia, frankfurt, "events", "x"); !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a region that is down: %v", err)
		}
		if _, err := send(t.Context(), w, virginia, dublin, "events", "x"); err != nil {
			t.Errorf("another region: %v", err)
		}
	})
}

func TestCancellation(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		here, to := w.regions[frankfurt], w.network(virginia).To(frankfurt)
		begun, over := make(chan struct{}, 2), make(chan struct{}, 2)
		here.set(func() {
			here.during = func(ctx context.Context) {
				begun <- struct{}{}
				<-ctx.Done()
				here.set(func() { here.fail = ctx.Err() })
				over <- struct{}{}
			}
		})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-begun
			cancel()
		}()
		if _, err := to.Digest(ctx, &peerv1.DigestRequest{Stream: stream()}); !errors.Is(err, context.Canceled) || errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a call that was given up: %v", err)
		}
		<-over
		ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := to.Digest(ctx, &peerv1.DigestRequest{Stream: stream()}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, peer.ErrUnreachable) {
			t.Errorf("a call whose time is over: %v", err)
		}
		<-over
		if _, err := to.Digest(ctx, &peerv1.DigestRequest{Stream: stream()}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a call whose time was over before: %v", err)
		}
	})
}

// A handler sees nothing of the caller's process.
func TestNothingIsShared(t *testing.T) {
	t.Parallel()
	onEach(t, func(w *world) {
		t := w.t
		type key struct{}
		here, leaked := w.regions[frankfurt], false
		answer := &peerv1.FetchResponse{States: []*replicationv1.State{{Clear: []byte("clear")}}}
		here.set(func() {
			here.response = answer
			here.during = func(ctx context.Context) { leaked = ctx.Value(key{}) != nil }
		})
		ctx := context.WithValue(t.Context(), key{}, "mine")
		got, err := w.network(virginia).To(frankfurt).Fetch(ctx, &peerv1.FetchRequest{Stream: stream(), Ids: []string{"a"}})
		if err != nil || leaked {
			t.Fatalf("Fetch: %v; the caller's values are seen: %v", err, leaked)
		}
		got.GetStates()[0].Clear[0] = 'X'
		body := []byte("body")
		if _, err := peer.NewSender(w.network(virginia)).Send(t.Context(), frankfurt, "events", []queue.Outgoing{{Group: "g", Deduplication: "d", Body: body}}); err != nil {
			t.Fatal(err)
		}
		body[0] = 'X'
		if string(answer.GetStates()[0].GetClear()) != "clear" || here.events.bodies()[0] != "body" {
			t.Error("memory is shared")
		}
	})
}

func TestUnsupported(t *testing.T) {
	t.Parallel()
	server, err := peer.NewServer(peer.ServerConfig{Region: frankfurt, Topology: inProcess(t).topology})
	if err != nil {
		t.Fatal(err)
	}
	ctx := peer.WithCaller(t.Context(), dublin)
	_, replicated := server.Replicate(ctx, nil)
	_, delivered := server.DeliverKey(ctx, nil)
	_, digested := server.Digest(ctx, nil)
	_, fetched := server.Fetch(ctx, nil)
	_, operated := server.Operate(ctx, nil)
	for _, err := range []error{replicated, delivered, digested, fetched, operated} {
		if !fault.Is(err, errorsv1.Reason_REASON_UNSUPPORTED) {
			t.Errorf("a part that is not there: %v", err)
		}
	}
	for _, ctx := range []context.Context{t.Context(), peer.WithCaller(t.Context(), "mars-1")} {
		if _, err := server.Operate(ctx, nil); fault.ReasonOf(err) != errorsv1.Reason_REASON_CREDENTIAL_MISSING && fault.ReasonOf(err) != errorsv1.Reason_REASON_CREDENTIAL_INVALID {
			t.Errorf("nobody who is known: %v", err)
		}
	}
}
