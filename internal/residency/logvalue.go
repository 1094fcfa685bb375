package residency

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"strconv"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/domicile-api/domicile/internal/fault"
)

// maxLogDepth bounds the walk into a logged value. What lies deeper is not shown; it also ends the walk of a cyclic value.
const maxLogDepth = 8

// omitted stands for what a log does not show because it cannot tell what it is.
const omitted = "[omitted]"

//nolint:gochecknoglobals // constants, which reflect.TypeFor cannot be
var (
	messageType   = reflect.TypeFor[proto.Message]()
	errorType     = reflect.TypeFor[error]()
	logValuerType = reflect.TypeFor[slog.LogValuer]()
)

// inertTypes remembers which types can never reach a message: a pure function of the type, like plans.
//
//nolint:gochecknoglobals // see plans
var inertTypes sync.Map // reflect.Type → bool

// redactKnown handles the values whose type alone says what to do.
func redactKnown(v any) (slog.Value, bool) {
	switch v := v.(type) {
	case proto.Message:
		return Redact(v), true
	case error:
		return redactError(v), true
	default:
		return slog.Value{}, false
	}
}

// redactAny handles what slog carries as any value.
func redactAny(v any, depth int) slog.Value {
	if v == nil {
		return slog.AnyValue(nil)
	}
	if safe, ok := redactKnown(v); ok {
		return safe
	}
	if isInert(reflect.TypeOf(v)) {
		return slog.AnyValue(v)
	}
	return slog.AnyValue(walk(reflect.ValueOf(v), depth))
}

// redactError shows an error's text. A fault is taken apart: what it says is safe by construction, its cause is not and stands
// under a key of its own.
func redactError(err error) slog.Value {
	if isNilPointer(err) {
		return slog.StringValue(omitted)
	}
	var f *fault.Error
	if !errors.As(err, &f) || f == nil {
		return slog.StringValue(errorText(err))
	}
	attrs := []slog.Attr{slog.String("reason", f.Reason.String()), slog.String("message", f.Message)}
	if f.Cause != nil {
		attrs = append(attrs, slog.String("cause", errorText(f.Cause)))
	}
	return slog.GroupValue(attrs...)
}

// errorText returns an error's text unless something in its chain is known to repeat what was sent, or an address: then only
// what kind of error it is.
func errorText(err error) string {
	var (
		number  *strconv.NumError
		syntax  *json.SyntaxError
		typing  *json.UnmarshalTypeError
		network *net.OpError
		dns     *net.DNSError
		parse   *net.ParseError
		address *net.AddrError
		f       *fault.Error
	)
	switch {
	case errors.As(err, &f) && f != nil && f.Cause != nil:
		// A fault below another: its own text holds its cause's.
		return f.Reason.String() + ": " + f.Message + ": " + errorText(f.Cause)
	case errors.Is(err, proto.Error), errors.As(err, &number), errors.As(err, &syntax), errors.As(err, &typing):
		return fmt.Sprintf("[withheld: %T repeats what it could not read]", err)
	case errors.As(err, &network):
		return fmt.Sprintf("[address withheld] %s %s: %s", network.Op, network.Net, errorText(network.Err))
	case errors.As(err, &dns), errors.As(err, &parse), errors.As(err, &address):
		return fmt.Sprintf("[withheld: %T holds an address]", err)
	default:
		return err.Error()
	}
}

// walk rebuilds a value from plain maps, slices and scalars, with messages and errors in it redacted. Unexported fields are
// left out, as in JSON. Methods of the value (String, MarshalJSON) are not called: they could print a message inside.
func walk(v reflect.Value, depth int) any {
	if !v.IsValid() {
		return nil
	}
	if depth == 0 || !v.CanInterface() {
		return omitted
	}
	if known, ok := walkKnown(v, depth); ok {
		return known
	}
	switch v.Kind() {
	case reflect.Pointer:
		return walk(v.Elem(), depth-1)
	case reflect.Interface:
		return walk(v.Elem(), depth)
	case reflect.Struct:
		return walkStruct(v, depth)
	case reflect.Slice, reflect.Array:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = walk(v.Index(i), depth-1)
		}
		return list
	case reflect.Map:
		entries := make(map[string]any, v.Len())
		for k, e := range v.Seq2() {
			entries[mapKey(k)] = walk(e, depth-1)
		}
		return entries
	default:
		return omitted
	}
}

// walkKnown handles what ends the walk: messages, errors, LogValuers and values of inert types.
func walkKnown(v reflect.Value, depth int) (any, bool) {
	if v.Kind() == reflect.Interface {
		return nil, false // decided by what is in it
	}
	if v.Kind() == reflect.Struct && reflect.PointerTo(v.Type()).Implements(messageType) {
		held := reflect.New(v.Type())
		held.Elem().Set(v)
		v = held
	}
	if isInert(v.Type()) {
		return v.Interface(), true
	}
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, true
	}
	if safe, ok := redactKnown(v.Interface()); ok {
		return plain(safe), true
	}
	if valuer, ok := reflect.TypeAssert[slog.LogValuer](v); ok {
		return plain(redactValue(slog.AnyValue(valuer), depth-1)), true
	}
	return nil, false
}

func walkStruct(v reflect.Value, depth int) any {
	fields := make(map[string]any, v.NumField())
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fields[f.Name] = walk(v.Field(i), depth-1)
		}
	}
	return fields
}

// mapKey shows a key of a scalar kind; any other could hold a message.
func mapKey(k reflect.Value) string {
	switch {
	case k.Kind() == reflect.String:
		return k.String()
	case k.CanInt():
		return strconv.FormatInt(k.Int(), 10)
	case k.CanUint():
		return strconv.FormatUint(k.Uint(), 10)
	default:
		return omitted
	}
}

func isNilPointer(v any) bool {
	r := reflect.ValueOf(v)
	return r.Kind() == reflect.Pointer && r.IsNil()
}

// isInert tells whether no value of a type can reach a message, an error or a LogValuer, so that it may be printed as it is.
func isInert(t reflect.Type) bool {
	if known, ok := inertTypes.Load(t); ok {
		return known.(bool) //nolint:forcetypeassert // the map holds nothing else
	}
	inert := !reachesMessage(t, map[reflect.Type]bool{})
	inertTypes.Store(t, inert)
	return inert
}

// reachesMessage walks a type; what an interface holds is not known, so it may be a message.
func reachesMessage(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	for _, active := range []reflect.Type{messageType, errorType, logValuerType} {
		if t.Implements(active) || reflect.PointerTo(t).Implements(active) {
			return true
		}
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Chan:
		return reachesMessage(t.Elem(), seen)
	case reflect.Map:
		return reachesMessage(t.Key(), seen) || reachesMessage(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if reachesMessage(f.Type, seen) {
				return true
			}
		}
		return false
	default:
		return false
	}
}
