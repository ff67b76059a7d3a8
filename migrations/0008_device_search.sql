-- How lists and groups of devices are found by names and tags without a look at every device.

-- Of each tag two words, of its key and of key and value, each with the instance: what is searched for is in the index as it
-- is, however long it may be, so that no tag is read to be sure, and no device to know whose it is.
create function device_tag_word(instance_id bigint, key text, value text default null) returns uuid
language sql immutable parallel safe as $$
	select encode(substr(sha256(decode(replace(instance_id::text || ' ' || length(key)::text || ' ' || key
		|| coalesce(' ' || value, ''), '\', '\\'), 'escape')), 1, 16), 'hex')::uuid
$$;
create function device_tag_words(instance_id bigint, tags jsonb) returns uuid[]
language sql immutable parallel safe as $$
	select coalesce(array_agg(device_tag_word(instance_id, key, value)), '{}') from jsonb_each_text(tags)
$$;

alter table device_tags add column words uuid[];
update device_tags t set words = device_tag_words(p.instance_id, t.tags) || array(
	select device_tag_word(p.instance_id, key) from jsonb_object_keys(t.tags) as key)
from device d join product p on p.id = d.product_id
where d.id = t.device_id;
alter table device_tags alter column words set not null;
drop index device_tags_search;
create index device_tags_search on device_tags using gin (words);

create function device_tags_worded() returns trigger language plpgsql as $$
begin
	select device_tag_words(p.instance_id, new.tags) || array(
		select device_tag_word(p.instance_id, key) from jsonb_object_keys(new.tags) as key)
	into new.words
	from device d join product p on p.id = d.product_id
	where d.id = new.device_id;
	return new;
end $$;
create trigger device_tags_worded before insert or update of tags on device_tags
	for each row execute function device_tags_worded();

-- What a pattern of a dynamic group's terms begins with, and whether it goes on.
create function like_open(pattern text) returns boolean language sql immutable parallel safe as $$
	select pattern ~ '^(?:[^\\]|\\.)*%$'
$$;
create function like_literal(pattern text) returns text language sql immutable parallel safe as $$
	select regexp_replace(case when like_open(pattern) then left(pattern, -1) else pattern end, '\\(.)', '\1', 'g')
$$;

-- Where a dynamic group's names are: from name_from to below name_to. No name of a device has a character above 'z'.
create function device_group_from(like_names text[]) returns text language sql immutable parallel safe as $$
	select coalesce(max(like_literal(p) collate "C"), '') from unnest(like_names) as p
$$;
create function device_group_to(like_names text[]) returns text language sql immutable parallel safe as $$
	select coalesce(min(like_literal(p) || '~' collate "C"), '~') from unnest(like_names) as p
$$;
-- The words that the tags of all its devices have, each with the instance.
create function device_group_words(instance_id bigint, tag_keys text[], like_tags text[]) returns uuid[]
language sql immutable parallel safe as $$
	select coalesce(array_agg(case when like_open(pattern) then device_tag_word(instance_id, key)
		else device_tag_word(instance_id, key, like_literal(pattern)) end), '{}')
	from unnest(tag_keys, like_tags) as w(key, pattern)
$$;
-- Whether the words do not say all of them: beginnings of values; and abc, which is never found.
create function device_group_unworded(tag_keys text[], like_tags text[]) returns boolean
language sql immutable parallel safe as $$
	select coalesce(bool_or(key = 'abc' or pattern <> '%' and like_open(pattern)), false)
	from unnest(tag_keys, like_tags) as w(key, pattern)
$$;
alter table device_group
	add column name_from text collate "C" not null generated always as (device_group_from(like_names)) stored,
	add column name_to text collate "C" not null generated always as (device_group_to(like_names)) stored,
	add column tag_words uuid[] not null generated always as (device_group_words(instance_id, tag_keys, like_tags)) stored,
	add column tags_unworded boolean not null generated always as (device_group_unworded(tag_keys, like_tags)) stored;

-- The devices of a group with names from from_name to below to_name, for lists and counts: what view device_group_device
-- says, in the order of what is in an index. (An OFFSET keeps the planner from any other.)
create function device_group_found(of_group bigint, from_name text, to_name text)
returns table (device_id bigint, product_id bigint, name text, disabled boolean)
language sql stable as $$
	select d.id, d.product_id, d.name, d.disabled
	from device_group_member m cross join lateral (select * from device d where d.id = m.device_id offset 0) d
	where m.group_id = of_group and d.name >= from_name and d.name < to_name
	union all
	select f.id, f.product_id, f.name, f.disabled
	from device_group g cross join lateral (
		select d.id, d.product_id, d.name, d.disabled
		from product p cross join lateral (
			select d.* from device d
			where d.product_id = p.id and d.name < least(g.name_to, to_name)
			  and d.name >= case when g.tag_keys = '{}' then greatest(g.name_from, from_name) else '~' end
			offset 0) d
		where p.account_id = g.account_id and p.instance_id = g.instance_id and p.product_key like all (g.like_product_keys)
		union all
		select d.id, d.product_id, d.name, d.disabled
		from (select t.* from device_tags t where t.words @> g.tag_words and g.tag_keys <> '{}' offset 0) t
		cross join lateral (select * from device d where d.id = t.device_id offset 0) d
		where d.name >= from_name and d.name < to_name
		  and case when g.like_product_keys = '{}' then true else (
			select p.product_key from product p where p.id = d.product_id) like all (g.like_product_keys) end
		  and case when not g.tags_unworded then true else not exists (
			select from unnest(g.tag_keys, g.like_tags) as w(key, pattern)
			where w.key = 'abc' or (t.tags ->> w.key like w.pattern) is not true) end
	) f
	where g.id = of_group and g.kind = 'LINK_PLATFORM_DYNAMIC' and g.deleted_ms is null and f.name like all (g.like_names)
	  and case when g.like_statuses = '{}' then true else (
		select device_status(f.disabled, s.active_ms, s.online)
		from (select) one left join device_session s on s.device_id = f.id) like all (g.like_statuses) end
$$;
