# Issues by http-01 and dns-01 with both kinds of keys, renews and revokes, changes the account's
# key, reads the list of its orders and gives the account up.
require 'acme/client'
require 'net/http'
require 'json'

DIRECTORY, ROOT, WWW, NAMES, OUT = ENV.values_at('OPEN', 'ROOT', 'WWW', 'NAMES', 'OUT')
# The library writes coordinates without leading zeros, which RFC 7518, Section 6.2.1.2 forbids
# and the server refuses. So one key in 128 is of no use to it.
EC = lambda do
  key = OpenSSL::PKey::EC.generate('prime256v1')
  point = key.public_key.to_octet_string(:uncompressed).bytes
  point[1].zero? || point[33].zero? ? EC.call : key
end
RSA = -> { OpenSSL::PKey::RSA.new(2048) }
LISTED = 105 # more than the server puts on a page

def tell(path, what)
  answer = Net::HTTP.post(URI(NAMES + path), JSON.generate(what))
  raise "#{path}: #{answer.code}" unless answer.is_a?(Net::HTTPSuccess)
end

def present(authorization, type)
  if type == 'http'
    File.write(File.join(WWW, authorization.http.token), authorization.http.file_content)
    return authorization.http
  end
  dns = authorization.dns
  tell('/set-txt', host: "#{dns.record_name}.#{authorization.identifier['value']}.", value: dns.record_content)
  dns
end

# Waits for what takes the server a moment.
def wait_for(thing, wanted)
  100.times do
    return if thing.status == wanted
    raise "#{thing.class} is #{thing.status}, not #{wanted}" if thing.status == 'invalid'
    sleep 0.1
    thing.reload
  end
  raise "#{thing.class} stays #{thing.status}"
end

def get(client, file, name, type, key)
  order = client.new_order(identifiers: [name])
  order.authorizations.each do |authorization|
    next if authorization.status == 'valid'
    challenge = present(authorization, type)
    challenge.request_validation
    wait_for(challenge, 'valid')
  end
  wait_for(order, 'ready')
  order.finalize(csr: Acme::Client::CertificateRequest.new(private_key: key, names: [name]))
  wait_for(order, 'valid')
  File.write(File.join(OUT, "#{file}.pem"), order.certificate)
  order.certificate(force_chain: 'Interop Other Root')
end

# Reads the list of orders, page for page. The library has no name for it, but signs and reads.
def listed(client, url)
  pages = []
  until url.nil?
    answer = client.send(:post_as_get, url)
    pages << answer.body.fetch('orders')
    url = Array((answer.headers['link'] || {})['next']).first
  end
  pages
end

def story(kind, account_key, cert_key, next_key)
  options = { directory: DIRECTORY, connection_options: { ssl: { ca_file: ROOT } } }
  client = Acme::Client.new(private_key: account_key, **options)
  account = client.new_account(contact: 'mailto:me@example.com', terms_of_service_agreed: true)
  http, dns = "#{kind}.http.ruby.test", "*.#{kind}.ruby.test"
  other = get(client, "#{kind}.http", http, 'http', cert_key)
  get(client, "#{kind}.dns", dns, 'dns', cert_key)
  File.write(File.join(OUT, "#{kind}.other.pem"), other)

  client.account_key_change(new_private_key: next_key)
  get(client, "#{kind}.http.again", http, 'http', cert_key)
  get(client, "#{kind}.dns.again", dns, 'dns', cert_key)
  %w[http dns].each { |type| client.revoke(certificate: File.read(File.join(OUT, "#{kind}.#{type}.again.pem")), reason: 4) }
  begin
    Acme::Client.new(private_key: account_key, **options).account
    raise 'the old key still opens the account'
  rescue Acme::Client::Error::AccountDoesNotExist
    # as it should be
  end
  yield client if block_given?
  client.account_update(contact: 'mailto:you@example.com')
  client.account_deactivate
  begin
    client.new_order(identifiers: [http])
    raise 'the account is as good as before'
  rescue Acme::Client::Error::Unauthorized
    # as it should be
  end
end

story('ec', EC.call, EC.call, RSA.call) do |client|
  made = (1..LISTED).map { |i| client.new_order(identifiers: ["order#{i}.ruby.test"]).url }
  account = client.send(:post_as_get, client.kid)
  pages = listed(client, account.body.fetch('orders'))
  all = pages.flatten
  raise "#{pages.map(&:length)} orders on the pages" unless pages.length == 2 && all.length == LISTED + 4
  raise 'orders that are not listed, or twice' unless all.uniq.length == all.length && (made - all).empty?
  puts "orders on #{pages.length} pages"
end
story('rsa', RSA.call, RSA.call, EC.call)
