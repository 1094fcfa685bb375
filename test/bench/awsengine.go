package main

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/domicile-api/domicile/entity"
	profilev1 "github.com/domicile-api/domicile/gen/domicile/profile/v1"
	"github.com/domicile-api/domicile/internal/call"
	"github.com/domicile-api/domicile/internal/idempotency"
	"github.com/domicile-api/domicile/internal/ident"
	"github.com/domicile-api/domicile/internal/keyspace"
	"github.com/domicile-api/domicile/internal/seal"
	sealkms "github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
)

// The region of the engines that are measured in this process, and their tenant: of 12 letters and 2, which the model of the cost assumes.
const (
	engineRegion       = ident.RegionID(home)
	engineJurisdiction = ident.Jurisdiction("SG")
	engineTenant       = ident.TenantID("acme-company")
	engineDeployment   = "domicile"
)

// engine is a region's entity engine over the stores of AWS.
type engine struct {
	cloud   *cloud
	table   *dynamostore.Store
	engine  *entity.Engine
	users   *entity.Repository[*profilev1.User]
	records *idempotency.Records
	serial  *serial
}

// newEngine makes one over a cloud, as another process of the region that knows nothing yet.
func newEngine(c *cloud) (*engine, error) {
	cfg := c.config(string(engineRegion))
	open := func(name string) (*dynamostore.Store, error) {
		return dynamostore.New(dynamostore.Config{Table: engineDeployment + "-" + name, Client: dynamodb.NewFromConfig(cfg)})
	}
	keys, err := open("keys")
	if err != nil {
		return nil, fmt.Errorf("opening a table: %w", err)
	}
	e := &engine{cloud: c, serial: newSerial()}
	if e.table, err = open("regional"); err != nil {
		return nil, fmt.Errorf("opening a table: %w", err)
	}
	wrapper, err := sealkms.New(sealkms.Config{
		AWS: cfg, Deployment: engineDeployment, Region: engineRegion, Key: "alias/" + engineDeployment + "-tenants",
	})
	if err != nil {
		return nil, fmt.Errorf("opening the key: %w", err)
	}
	ring := seal.NewKeyring(seal.KeyringConfig{
		Region: engineRegion, Jurisdiction: engineJurisdiction, Keys: keys, Wrapper: wrapper, Clock: time.Now,
	})
	e.engine, err = entity.NewEngine(entity.Config{
		Store: e.table, Sealer: ring, Pages: pageKey{}, Region: engineRegion, Jurisdiction: engineJurisdiction, Clock: time.Now, Rand: rand.Reader,
		EnsureKey: func(ctx context.Context, tenant ident.TenantID) error {
			return ring.Provision(ctx, tenant, 1, []ident.RegionID{engineRegion})
		},
	})
	if err != nil {
		return nil, fmt.Errorf("making the engine: %w", err)
	}
	if e.users, err = entity.New[*profilev1.User](e.engine); err != nil {
		return nil, fmt.Errorf("making the repository: %w", err)
	}
	e.records = idempotency.New(idempotency.Config{Store: e.table, Sealer: ring, Jurisdiction: engineJurisdiction, Clock: time.Now})
	return e, nil
}

// pageKey authenticates pages, of which none is asked for.
type pageKey struct{}

// MAC implements entity.Pages.
func (pageKey) MAC(purpose string, data []byte) (keyID uint32, mac [16]byte, err error) {
	h := hmac.New(sha256.New, []byte(purpose))
	_, _ = h.Write(data) // A hash takes everything.
	return 1, [16]byte(h.Sum(nil)), nil
}

// Check implements entity.Pages.
func (k pageKey) Check(purpose string, data []byte, keyID uint32, mac [16]byte) bool {
	_, want, _ := k.MAC(purpose, data)
	return keyID == 1 && want == mac
}

// call is a mutation with an idempotency key of its own, as the guard hands it on.
func (e *engine) call(ctx context.Context) (context.Context, *call.Call) {
	c := &call.Call{
		Procedure: "/domicile.profile.v1.ProfileService/Bench", Tenant: engineTenant, Epoch: 1, Home: engineRegion, Jurisdiction: engineJurisdiction,
		Region: engineRegion, Edge: engineRegion, Principal: call.Principal{Kind: call.TenantKey, KeyID: "k1"},
		Operation: &call.Operation{KeyHash: sha256.Sum256([]byte(e.serial.next()))},
	}
	return call.With(ctx, c), c
}

// mutate does what the platform does for a mutation with an idempotency key: it looks whether it was answered before, and does it.
func (e *engine) mutate(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, c := e.call(ctx)
	if _, _, err := e.records.Replay(ctx, c); err != nil {
		return fmt.Errorf("looking for the answer: %w", err)
	}
	return do(ctx)
}

// create creates a user with so many bytes more and returns its id.
func (e *engine) create(ctx context.Context, extra int) (id string, err error) {
	err = e.mutate(ctx, func(ctx context.Context) error {
		_, err := entity.Create(ctx, e.users, filled(newUser(e.serial.next()), extra), func(u *profilev1.User) *wrapperspb.BytesValue {
			id = u.GetId()
			return answerWith(u, extra)
		})
		return err
	})
	return id, err
}

// warm creates users until the engine knows the tenant's key and the counters of all lanes.
func (e *engine) warm(ctx context.Context) error {
	known := make(map[string]bool)
	for len(known) < ident.Lanes {
		id, err := e.create(ctx, 0)
		if err != nil {
			return err
		}
		known[keyspace.Entity(engineTenant, id).Partition] = true
	}
	return nil
}

func (e *engine) update(ctx context.Context, id string, extra int) error {
	return e.mutate(ctx, func(ctx context.Context) error {
		change := entity.Change[*profilev1.User]{Apply: func(u *profilev1.User) error {
			u.Locale = "de-DE"
			return nil
		}}
		_, err := entity.Update(ctx, e.users, id, change, func(u *profilev1.User) *wrapperspb.BytesValue {
			return answerWith(u, extra)
		})
		return err
	})
}

func (e *engine) remove(ctx context.Context, id string) error {
	return e.mutate(ctx, func(ctx context.Context) error {
		_, err := entity.Delete(ctx, e.users, id, "", func(*profilev1.User) *profilev1.DeleteUserResponse {
			return &profilev1.DeleteUserResponse{}
		})
		return err
	})
}

func (e *engine) get(ctx context.Context, id string) error {
	ctx, _ = e.call(ctx)
	_, err := e.users.Get(ctx, id)
	return err
}

// filler is the number of a field that no user has. What is unknown is kept in the sealed part of what is stored, and so makes a user of any
// size.
const filler = 1 << 20

// filled makes a user larger by so many bytes.
func filled(u *profilev1.User, extra int) *profilev1.User {
	if extra > 0 {
		raw := protowire.AppendTag(nil, filler, protowire.BytesType)
		u.ProtoReflect().SetUnknown(protowire.AppendString(raw, strings.Repeat("x", extra)))
	}
	return u
}

// answerWith is an answer with a user that is larger by so many bytes. Answers have no unknown fields, so that it is of another type.
func answerWith(u *profilev1.User, extra int) *wrapperspb.BytesValue {
	return wrapperspb.Bytes(make([]byte, proto.Size(u)+extra))
}
