// Package aws keeps regions on AWS: each in the AWS region of its id, its tables in DynamoDB, its queues in SQS, tenants' keys under a key
// of KMS, the directory in a global table of DynamoDB. All of it is made by the infrastructure in infra/, under the names of names.go;
// this package finds it, and refuses to start where it is missing or of another release.
//
// Credentials, and endpoints where they are not AWS's own, come from the SDK's standard environment.
package aws

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/domicile-api/domicile/internal/app"
	"github.com/domicile-api/domicile/internal/audit"
	"github.com/domicile-api/domicile/internal/seal/kms"
	"github.com/domicile-api/domicile/internal/seal/local"
	"github.com/domicile-api/domicile/internal/store/dynamostore"
	"github.com/domicile-api/domicile/internal/store/ownfeed"
	"github.com/domicile-api/domicile/internal/store/s3snapshot"
)

// lookAgain is how often a process looks for what other processes of its region left undone.
const lookAgain = time.Minute

// Backend is the app.Backend on AWS.
type Backend struct{ names names }

var _ app.Backend = Backend{}

// New returns the backend of a deployment: what its infrastructure was deployed under, "domicile" unless another name was chosen.
func New(deployment string) (Backend, error) {
	n, err := newNames(deployment)
	return Backend{n}, err
}

// Open implements app.Backend.
func (b Backend) Open(ctx context.Context, o app.Opening) (*app.Resources, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(string(o.Region)))
	if err != nil {
		return nil, fmt.Errorf("reading the AWS configuration: %w", err)
	}
	opener := &opener{names: b.names, opening: o, aws: cfg, res: &app.Resources{Close: func() error { return nil }}}
	if err := opener.open(ctx); err != nil {
		return nil, fmt.Errorf("opening region %s on AWS: %w", o.Region, err)
	}
	return opener.res, nil
}

// opener opens one region.
type opener struct {
	names   names
	opening app.Opening
	aws     aws.Config
	res     *app.Resources
}

func (o *opener) open(ctx context.Context) error {
	if err := o.openDirectory(ctx); err != nil {
		return err
	}
	route, err := o.secret(ctx, o.names.routeKey())
	if err != nil {
		return err
	}
	if o.res.RouteSeed, err = seed(route, "route key"); err != nil || o.opening.EdgeOnly {
		return err
	}
	if err := o.openKeys(ctx); err != nil {
		return err
	}
	if err := o.openTables(ctx); err != nil {
		return err
	}
	return o.openQueues(ctx)
}

// openDirectory opens the region's replica of the directory, and the last good copy of it.
func (o *opener) openDirectory(ctx context.Context) error {
	table, err := dynamostore.OpenDirectory(ctx, dynamostore.DirectoryConfig{Config: o.table(app.DirectoryTable)})
	if err != nil {
		return err
	}
	o.res.Directory, o.res.DirectoryInterval = table, dynamostore.DirectoryInterval
	account, err := o.account(ctx)
	if err != nil {
		return err
	}
	o.res.DirectoryCopy, err = s3snapshot.New(s3snapshot.Config{
		Client: s3.NewFromConfig(o.aws, func(opts *s3.Options) { opts.UsePathStyle = o.aws.BaseEndpoint != nil }),
		Bucket: o.names.snapshots(account, o.opening.Region),
	})
	if err != nil {
		return fmt.Errorf("opening the copy of the directory: %w", err)
	}
	o.res.DirectoryCopyReadOnly = o.opening.EdgeOnly
	return nil
}

// openKeys opens what the region signs with, and unwraps with.
func (o *opener) openKeys(ctx context.Context) error {
	secret, err := o.secret(ctx, o.names.peerKey())
	if err != nil {
		return err
	}
	if o.res.PeerSeed, err = seed(secret, "peer key"); err != nil {
		return err
	}
	own, err := local.Derive(o.opening.Region, secret)
	if err != nil {
		return fmt.Errorf("deriving the key of the region: %w", err)
	}
	o.res.OwnKey = own
	tenants, err := kms.Open(ctx, o.tenantsKey(o.opening.Region))
	if err != nil {
		return fmt.Errorf("opening the key of the tenants' keys: %w", err)
	}
	o.res.TenantKeys, o.res.WrapFor = tenants, o.wrapFor
	return nil
}

// openTables opens the region's tables.
func (o *opener) openTables(ctx context.Context) error {
	tables := make(map[string]*dynamostore.Store)
	for _, name := range []string{app.RegionalTable, app.ReplicaTable, app.KeysTable, app.SettingsTable} {
		table, err := dynamostore.Open(ctx, o.table(name))
		if err != nil {
			return err
		}
		tables[name] = table
	}
	o.res.Regional = ownfeed.New(tables[app.RegionalTable], lookAgain)
	o.res.Settings = ownfeed.New(tables[app.SettingsTable], lookAgain)
	o.res.Replica, o.res.Keys = tables[app.ReplicaTable], tables[app.KeysTable]
	directory, err := dynamostore.New(o.table(app.DirectoryTable))
	if err != nil {
		return err
	}
	o.res.Places = []audit.Place{
		{Name: app.DirectoryTable, Kind: audit.Directory, Table: directory},
		{Name: app.RegionalTable, Kind: audit.Regional, Table: tables[app.RegionalTable]},
		{Name: app.ReplicaTable, Kind: audit.Replicas, Table: tables[app.ReplicaTable]},
		{Name: app.KeysTable, Kind: audit.Keys, Table: tables[app.KeysTable]},
		{Name: app.SettingsTable, Kind: audit.Settings, Table: tables[app.SettingsTable]},
	}
	return nil
}

// table is how a table of the region is reached.
func (o *opener) table(name string) dynamostore.Config {
	return dynamostore.Config{
		Table: o.names.table(name), Client: dynamodb.NewFromConfig(o.aws), Clock: o.opening.Clock, Logger: o.opening.Logger,
	}
}
