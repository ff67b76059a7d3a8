-- The devices that a job may concern (see 0009), now with the ids between which they lie: the versions of a product's devices are
-- found among those of all products, and where each product's devices were registered together that is a part of them.
drop function job_candidate(bigint, bigint, text, bigint, bigint);

create function job_candidate(of_job bigint, of_product bigint, of_module text, of_ms bigint, now_ms bigint, first_device bigint,
                              last_device bigint)
returns table (device_id bigint, name text, version text)
language sql stable as $$
	select d.id, d.name, v.version
	from job j
	join firmware f on f.id = j.firmware_id
	join device d on d.product_id = of_product and d.id >= first_device and d.id <= last_device
	left join device_module m on m.device_id = d.id and m.module = of_module
		and m.device_id >= first_device and m.device_id <= last_device
	left join (
		select distinct on (device_id) device_id, version from version_before
		where module = of_module and ms_past(until_ms, now_ms) > of_ms order by device_id, until_ms
	) b on b.device_id = d.id
	cross join lateral (
		select case when b.device_id is not null then b.version
			when ms_past(m.reported_ms, now_ms) <= of_ms then m.version
			else m.prev_version end as version) v
	where j.id = of_job and not d.disabled and ms_past(d.created_ms, now_ms) <= of_ms
	  and v.version is distinct from f.dest_version
	  and (j.src_versions = '{}' or v.version = any (j.src_versions))
	  and (f.type = 0 or v.version = f.src_version)
$$;
