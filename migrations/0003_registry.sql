-- Names of deleted devices: the tasks that they leave behind stay listed with them.
create table device_deleted (
	device_id  bigint primary key,
	product_id bigint not null references product,
	name       text collate "C" not null,
	deleted_ms bigint not null
);
create index device_deleted_name on device_deleted (product_id, name);

-- When a batch registration had made its last device; from then on only the broker is waited for.
alter table device_apply add column made_ms bigint;
create index device_apply_open on device_apply (id) where status = 'CREATE';
