package residency_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"pgregory.net/rapid"

	errorsv1 "github.com/domicile-api/domicile/gen/domicile/errors/v1"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/fault"
	"github.com/domicile-api/domicile/internal/residency"
	"github.com/domicile-api/domicile/internal/residency/internal/testpb"
)

// logged returns what a JSON log shows of an attribute "v".
func logged(t *testing.T, v any) any {
	t.Helper()
	var out bytes.Buffer
	slog.New(residency.NewLogHandler(slog.NewJSONHandler(&out, nil))).Info("text", "v", v)
	line := map[string]any{}
	if err := json.Unmarshal(out.Bytes(), &line); err != nil {
		t.Fatalf("log line %q: %v", out.Bytes(), err)
	}
	return line["v"]
}

func TestRedact(t *testing.T) {
	t.Parallel()
	part := &testpb.Part{Label: "l", Person: "p", Secret: "s", Matter: "m", Unclassified: "u", Child: &testpb.Part{Label: "c"}}
	part.ProtoReflect().SetUnknown(unknownField())
	text, err := structpb.NewStruct(map[string]any{"a": "b"})
	if err != nil {
		t.Fatal(err)
	}
	m := &testpb.Shapes{
		Id: "i", Tags: []string{"a", "b"}, Names: []string{"n"}, Blob: []byte{1}, Maybe: proto.Int32(0), Part: part,
		HiddenPart: part, Parts: []*testpb.Part{{Label: "e", Person: "p"}}, PartByKey: map[string]*testpb.Part{"k": {Secret: "s"}},
		PersonByKey: map[string]string{"p": "p"}, BytesByNumber: map[int32][]byte{7: {2}},
		Choice: &testpb.Shapes_ShutChoice{ShutChoice: "s"}, Time: &timestamppb.Timestamp{Seconds: 1},
		Duration: durationpb.New(time.Second), Mask: &fieldmaskpb.FieldMask{Paths: []string{"a", "b.c"}}, Struct: text,
		Kinds: []testpb.Kind{1, 99}, Kind: testpb.Kind_KIND_FIRST,
	}
	want := map[string]any{
		"id": "i", "tags": []any{"a", "b"}, "names": "[PII]", "blob": "AQ==", "maybe": 0.0,
		"part": map[string]any{
			"label": "l", "person": "[PII]", "secret": "[SECRET]", "matter": "[REGIONAL]", "unclassified": "[UNCLASSIFIED]",
			"child": map[string]any{"label": "c"},
		},
		"hidden_part": "[PII]", "parts": []any{map[string]any{"label": "e", "person": "[PII]"}},
		"part_by_key":   map[string]any{"k": map[string]any{"secret": "[SECRET]"}},
		"person_by_key": "[PII]", "bytes_by_number": map[string]any{"7": "Ag=="}, "shut_choice": "[SECRET]",
		"time": "1970-01-01T00:00:01Z", "duration": 1e9, "mask": "a,b.c", "struct": "[PII]",
		"kinds": []any{"KIND_FIRST", 99.0}, "kind": "KIND_FIRST",
	}
	if diff := cmp.Diff(want, logged(t, m)); diff != "" {
		t.Errorf("logged (-want +got):\n%s", diff)
	}
}

type valuer struct{ user *profilev1.User }

func (v valuer) LogValue() slog.Value { return slog.GroupValue(slog.Any("user", v.user)) }

type holder struct {
	Name   string
	User   *profilev1.User
	Inside any
	hidden *profilev1.User
	Next   *holder
}

// String would print the user.
func (h holder) String() string { return fmt.Sprintf("%s %s", h.Name, h.hidden.GetEmail()) }

type carrier struct{ user *profilev1.User }

func (c *carrier) Error() string { return "cannot store the user" }

// Wherever a message is in an attribute, it is redacted.
func TestLogHandlerFindsMessages(t *testing.T) {
	t.Parallel()
	user := &profilev1.User{Id: "usr_1", Email: "CANARY@example.test", GivenName: "CANARY", RegulatedNote: "CANARY"}
	shown := map[string]any{"id": "usr_1", "email": "[PII]", "given_name": "[PII]", "regulated_note": "[REGIONAL]"}
	loop := &holder{Name: "loop"}
	loop.Next = loop
	tests := []struct {
		name string
		in   any
		want any // nil: only that nothing leaks
	}{
		{"message", user, shown},
		{"nil message", (*profilev1.User)(nil), nil},
		{"slice", []*profilev1.User{user}, []any{shown}},
		{"slice of any", []any{1, "x", user}, []any{1.0, "x", shown}},
		{"map", map[string]*profilev1.User{"k": user}, map[string]any{"k": shown}},
		{"map by user", map[*profilev1.User]int{user: 1}, map[string]any{"[omitted]": 1.0}},
		{"pointer to pointer", &user, shown},
		{"group", slog.GroupValue(slog.Any("user", user)), map[string]any{"user": shown}},
		{"LogValuer", valuer{user}, map[string]any{"user": shown}},
		{"LogValuer in a slice", []any{valuer{user}}, []any{map[string]any{"user": shown}}},
		{"struct", holder{Name: "h", User: user, Inside: []any{user}, hidden: user}, map[string]any{
			"Name": "h", "User": shown, "Inside": []any{shown}, "Next": nil,
		}},
		{"pointer to struct", &holder{Name: "h", hidden: user}, map[string]any{"Name": "h", "User": nil, "Inside": nil, "Next": nil}},
		{"cycle", loop, nil},
		{"error with a message", &carrier{user}, "cannot store the user"},
		{"attributes", []slog.Attr{slog.Any("user", user)}, map[string]any{"user": shown}},
		{"channel", make(chan *profilev1.User), "[omitted]"},
		{"function", func() *profilev1.User { return user }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, next := range handlers() {
				var out bytes.Buffer
				log := slog.New(residency.NewLogHandler(next(&out)))
				log.With("with", tt.in).WithGroup("g").Info("text", "v", tt.in)
				if leaks(out.String()) {
					t.Errorf("%s handler shows more than GLOBAL: %s", name, out.String())
				}
			}
			if tt.want == nil {
				return
			}
			if diff := cmp.Diff(tt.want, logged(t, tt.in)); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		})
	}
}

// handlers are the two of the standard library, which print values in different ways.
func handlers() map[string]func(io.Writer) slog.Handler {
	return map[string]func(io.Writer) slog.Handler{
		"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
		"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
	}
}

// What holds no message is passed on untouched.
func TestLogHandlerLeavesOtherValues(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := []struct{ in, want any }{
		{1, 1.0},
		{"s", "s"},
		{now, "2026-01-02T03:04:05Z"},
		{[]string{"a"}, []any{"a"}},
		{map[string]int{"a": 1}, map[string]any{"a": 1.0}},
		{struct{ A time.Time }{now}, map[string]any{"A": "2026-01-02T03:04:05Z"}},
		{net.IPv4(127, 0, 0, 1), "127.0.0.1"},
		{nil, nil},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, logged(t, tt.in)); diff != "" {
			t.Errorf("logged %T (-want +got):\n%s", tt.in, diff)
		}
	}
}

func TestLogHandlerErrors(t *testing.T) {
	t.Parallel()
	_, number := strconv.Atoi("CANARY")
	decode := protojson.Unmarshal([]byte(`{"CANARY": 1}`), &profilev1.User{})
	syntax := json.Unmarshal([]byte(`"CANARY`), new(int))
	network := &net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 7), Port: 443}, Err: io.ErrUnexpectedEOF}
	wrapped := fault.Wrap(errorsv1.Reason_REASON_INTERNAL, io.ErrUnexpectedEOF, "the disk failed")
	tests := []struct {
		name string
		in   error
		want any
	}{
		{"plain", io.ErrUnexpectedEOF, "unexpected EOF"},
		{"fault", fault.New(errorsv1.Reason_REASON_NOT_FOUND, "no such user"), map[string]any{
			"reason": "REASON_NOT_FOUND", "message": "no such user",
		}},
		{"fault with a cause", fmt.Errorf("creating: %w", wrapped), map[string]any{
			"reason": "REASON_INTERNAL", "message": "the disk failed", "cause": "unexpected EOF",
		}},
		{"fault below a fault", fault.Wrap(errorsv1.Reason_REASON_OVERLOADED, fault.Wrap(errorsv1.Reason_REASON_INTERNAL, number, "a"), "b"), map[string]any{
			"reason": "REASON_OVERLOADED", "message": "b",
			"cause": "REASON_INTERNAL: a: [withheld: *strconv.NumError repeats what it could not read]",
		}},
		{"number", fmt.Errorf("reading: %w", number), "[withheld: *fmt.wrapError repeats what it could not read]"},
		{"protojson", fault.Wrap(errorsv1.Reason_REASON_INVALID_ARGUMENT, fmt.Errorf("decoding: %w", decode), "the body does not decode"), map[string]any{
			"reason": "REASON_INVALID_ARGUMENT", "message": "the body does not decode",
			"cause": "[withheld: *fmt.wrapError repeats what it could not read]",
		}},
		{"json", syntax, "[withheld: *json.SyntaxError repeats what it could not read]"},
		{"network", fmt.Errorf("forwarding: %w", network), "[address withheld] read tcp: unexpected EOF"},
		{"joined", errors.Join(io.EOF, number), "[withheld: *errors.joinError repeats what it could not read]"},
		{"typed nil", (*fault.Error)(nil), "[omitted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, logged(t, tt.in)); diff != "" {
				t.Errorf("logged (-want +got):\n%s", diff)
			}
		})
	}
}

// No byte above GLOBAL, nor of an unknown field, is in any rendering of a random message.
func TestRedactHoldsNothingMore(t *testing.T) {
	t.Parallel()
	for _, of := range []proto.Message{&profilev1.User{}, &testpb.Shapes{}, &profilev1.ListUsersResponse{}} {
		t.Run(string(of.ProtoReflect().Descriptor().Name()), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				m := random{t: t, unknown: true}.message(of)
				for name, next := range handlers() {
					var out bytes.Buffer
					slog.New(residency.NewLogHandler(next(&out))).Info("text", "m", m, "list", []any{m}, "value", residency.Redact(m))
					if leaks(out.String()) {
						t.Fatalf("%s handler shows more than GLOBAL: %s", name, out.String())
					}
				}
			})
		})
	}
}

// FuzzNothingLeaves decodes any bytes as a message that nests every shape, and looks for what is above GLOBAL in what leaves.
// The value of each such field is replaced by the canary first.
func FuzzNothingLeaves(f *testing.F) {
	seed := &testpb.Shapes{
		Id: "i", Names: []string{"n"}, Part: &testpb.Part{Person: "p", Child: &testpb.Part{Secret: "s"}},
		PartByKey: map[string]*testpb.Part{"k": {Matter: "m"}}, Choice: &testpb.Shapes_ShutChoice{ShutChoice: "s"},
	}
	seed.GetPart().ProtoReflect().SetUnknown(unknownField())
	raw, err := proto.Marshal(seed)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(unknownField())
	f.Fuzz(func(t *testing.T, raw []byte) {
		m := &testpb.Shapes{}
		if bytes.Contains(raw, []byte(canary)) || proto.Unmarshal(raw, m) != nil {
			return
		}
		before := proto.Clone(m)
		plant(m.ProtoReflect(), false)
		open, guarded := residency.Split(m)
		if !proto.Equal(m, residency.Merge(open, guarded)) {
			t.Error("Merge does not restore what Split took apart")
		}
		summary := &testpb.ShapesSummary{}
		p, err := residency.NewProjector(m.ProtoReflect().Descriptor(), summary.ProtoReflect().Descriptor())
		if err != nil {
			t.Fatal(err)
		}
		p.Project(summary, m)
		for name, out := range map[string]proto.Message{"the open part": open, "the projection": summary} {
			raw, err := proto.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			if leaks(string(raw)) {
				t.Errorf("%s of %v holds more than GLOBAL: %q", name, before, raw)
			}
		}
		var out bytes.Buffer
		slog.New(residency.NewLogHandler(slog.NewJSONHandler(&out, nil))).Info("text", "m", m)
		if leaks(out.String()) {
			t.Errorf("the log shows more than GLOBAL: %s", out.String())
		}
	})
}
