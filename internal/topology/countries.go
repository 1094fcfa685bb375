package topology

// country is a country and a point that stands for where its callers are.
type country struct {
	code                [2]byte
	latitude, longitude float32
}

// countries has the ISO 3166-1 alpha-2 codes, and XK, in alphabetical order, each with degrees north and east: the middle of the
// area, as the CIA World Factbook (a work of the U.S. government in the public domain) gives it under "Geographic coordinates", rounded.
// For a few countries whose people live far from the middle it is the largest city instead, which the comment names.
//
//nolint:gochecknoglobals // An immutable table.
var countries = [...]country{
	{[2]byte{'A', 'D'}, 42.50, 1.50},     // Andorra
	{[2]byte{'A', 'E'}, 24.00, 54.00},    // United Arab Emirates
	{[2]byte{'A', 'F'}, 33.00, 65.00},    // Afghanistan
	{[2]byte{'A', 'G'}, 17.05, -61.80},   // Antigua and Barbuda
	{[2]byte{'A', 'I'}, 18.25, -63.17},   // Anguilla
	{[2]byte{'A', 'L'}, 41.00, 20.00},    // Albania
	{[2]byte{'A', 'M'}, 40.00, 45.00},    // Armenia
	{[2]byte{'A', 'O'}, -12.50, 18.50},   // Angola
	{[2]byte{'A', 'Q'}, -90.00, 0.00},    // Antarctica
	{[2]byte{'A', 'R'}, -34.00, -64.00},  // Argentina
	{[2]byte{'A', 'S'}, -14.33, -170.00}, // American Samoa
	{[2]byte{'A', 'T'}, 47.33, 13.33},    // Austria
	{[2]byte{'A', 'U'}, -33.90, 151.20},  // Australia (Sydney)
	{[2]byte{'A', 'W'}, 12.50, -69.97},   // Aruba
	{[2]byte{'A', 'X'}, 60.12, 19.90},    // Åland Islands
	{[2]byte{'A', 'Z'}, 40.50, 47.50},    // Azerbaijan
	{[2]byte{'B', 'A'}, 44.00, 18.00},    // Bosnia and Herzegovina
	{[2]byte{'B', 'B'}, 13.17, -59.53},   // Barbados
	{[2]byte{'B', 'D'}, 24.00, 90.00},    // Bangladesh
	{[2]byte{'B', 'E'}, 50.83, 4.00},     // Belgium
	{[2]byte{'B', 'F'}, 13.00, -2.00},    // Burkina Faso
	{[2]byte{'B', 'G'}, 43.00, 25.00},    // Bulgaria
	{[2]byte{'B', 'H'}, 26.00, 50.55},    // Bahrain
	{[2]byte{'B', 'I'}, -3.50, 30.00},    // Burundi
	{[2]byte{'B', 'J'}, 9.50, 2.25},      // Benin
	{[2]byte{'B', 'L'}, 17.90, -62.85},   // Saint Barthélemy
	{[2]byte{'B', 'M'}, 32.33, -64.75},   // Bermuda
	{[2]byte{'B', 'N'}, 4.50, 114.67},    // Brunei
	{[2]byte{'B', 'O'}, -17.00, -65.00},  // Bolivia
	{[2]byte{'B', 'Q'}, 12.18, -68.25},   // Bonaire, Sint Eustatius and Saba
	{[2]byte{'B', 'R'}, -10.00, -55.00},  // Brazil
	{[2]byte{'B', 'S'}, 24.25, -76.00},   // Bahamas
	{[2]byte{'B', 'T'}, 27.50, 90.50},    // Bhutan
	{[2]byte{'B', 'V'}, -54.43, 3.40},    // Bouvet Island
	{[2]byte{'B', 'W'}, -22.00, 24.00},   // Botswana
	{[2]byte{'B', 'Y'}, 53.00, 28.00},    // Belarus
	{[2]byte{'B', 'Z'}, 17.25, -88.75},   // Belize
	{[2]byte{'C', 'A'}, 43.70, -79.40},   // Canada (Toronto)
	{[2]byte{'C', 'C'}, -12.50, 96.83},   // Cocos (Keeling) Islands
	{[2]byte{'C', 'D'}, 0.00, 25.00},     // Congo (Democratic Republic)
	{[2]byte{'C', 'F'}, 7.00, 21.00},     // Central African Republic
	{[2]byte{'C', 'G'}, -1.00, 15.00},    // Congo (Republic)
	{[2]byte{'C', 'H'}, 47.00, 8.00},     // Switzerland
	{[2]byte{'C', 'I'}, 8.00, -5.00},     // Côte d'Ivoire
	{[2]byte{'C', 'K'}, -21.23, -159.77}, // Cook Islands
	{[2]byte{'C', 'L'}, -30.00, -71.00},  // Chile
	{[2]byte{'C', 'M'}, 6.00, 12.00},     // Cameroon
	{[2]byte{'C', 'N'}, 35.00, 105.00},   // China
	{[2]byte{'C', 'O'}, 4.00, -72.00},    // Colombia
	{[2]byte{'C', 'R'}, 10.00, -84.00},   // Costa Rica
	{[2]byte{'C', 'U'}, 21.50, -80.00},   // Cuba
	{[2]byte{'C', 'V'}, 16.00, -24.00},   // Cabo Verde
	{[2]byte{'C', 'W'}, 12.17, -69.00},   // Curaçao
	{[2]byte{'C', 'X'}, -10.50, 105.67},  // Christmas Island
	{[2]byte{'C', 'Y'}, 35.00, 33.00},    // Cyprus
	{[2]byte{'C', 'Z'}, 49.75, 15.50},    // Czechia
	{[2]byte{'D', 'E'}, 51.00, 9.00},     // Germany
	{[2]byte{'D', 'J'}, 11.50, 43.00},    // Djibouti
	{[2]byte{'D', 'K'}, 56.00, 10.00},    // Denmark
	{[2]byte{'D', 'M'}, 15.42, -61.33},   // Dominica
	{[2]byte{'D', 'O'}, 19.00, -70.67},   // Dominican Republic
	{[2]byte{'D', 'Z'}, 28.00, 3.00},     // Algeria
	{[2]byte{'E', 'C'}, -2.00, -77.50},   // Ecuador
	{[2]byte{'E', 'E'}, 59.00, 26.00},    // Estonia
	{[2]byte{'E', 'G'}, 27.00, 30.00},    // Egypt
	{[2]byte{'E', 'H'}, 24.50, -13.00},   // Western Sahara
	{[2]byte{'E', 'R'}, 15.00, 39.00},    // Eritrea
	{[2]byte{'E', 'S'}, 40.00, -4.00},    // Spain
	{[2]byte{'E', 'T'}, 8.00, 38.00},     // Ethiopia
	{[2]byte{'F', 'I'}, 64.00, 26.00},    // Finland
	{[2]byte{'F', 'J'}, -18.00, 178.00},  // Fiji
	{[2]byte{'F', 'K'}, -51.75, -59.00},  // Falkland Islands
	{[2]byte{'F', 'M'}, 6.92, 158.25},    // Micronesia
	{[2]byte{'F', 'O'}, 62.00, -7.00},    // Faroe Islands
	{[2]byte{'F', 'R'}, 46.00, 2.00},     // France
	{[2]byte{'G', 'A'}, -1.00, 11.75},    // Gabon
	{[2]byte{'G', 'B'}, 54.00, -2.00},    // United Kingdom
	{[2]byte{'G', 'D'}, 12.12, -61.67},   // Grenada
	{[2]byte{'G', 'E'}, 42.00, 43.50},    // Georgia
	{[2]byte{'G', 'F'}, 4.00, -53.00},    // French Guiana
	{[2]byte{'G', 'G'}, 49.47, -2.58},    // Guernsey
	{[2]byte{'G', 'H'}, 8.00, -2.00},     // Ghana
	{[2]byte{'G', 'I'}, 36.13, -5.35},    // Gibraltar
	{[2]byte{'G', 'L'}, 64.20, -51.70},   // Greenland (Nuuk)
	{[2]byte{'G', 'M'}, 13.47, -16.57},   // Gambia
	{[2]byte{'G', 'N'}, 11.00, -10.00},   // Guinea
	{[2]byte{'G', 'P'}, 16.25, -61.58},   // Guadeloupe
	{[2]byte{'G', 'Q'}, 2.00, 10.00},     // Equatorial Guinea
	{[2]byte{'G', 'R'}, 39.00, 22.00},    // Greece
	{[2]byte{'G', 'S'}, -54.50, -37.00},  // South Georgia and the South Sandwich Islands
	{[2]byte{'G', 'T'}, 15.50, -90.25},   // Guatemala
	{[2]byte{'G', 'U'}, 13.47, 144.78},   // Guam
	{[2]byte{'G', 'W'}, 12.00, -15.00},   // Guinea-Bissau
	{[2]byte{'G', 'Y'}, 5.00, -59.00},    // Guyana
	{[2]byte{'H', 'K'}, 22.25, 114.17},   // Hong Kong
	{[2]byte{'H', 'M'}, -53.10, 72.52},   // Heard Island and McDonald Islands
	{[2]byte{'H', 'N'}, 15.00, -86.50},   // Honduras
	{[2]byte{'H', 'R'}, 45.17, 15.50},    // Croatia
	{[2]byte{'H', 'T'}, 19.00, -72.42},   // Haiti
	{[2]byte{'H', 'U'}, 47.00, 20.00},    // Hungary
	{[2]byte{'I', 'D'}, -6.20, 106.80},   // Indonesia (Jakarta)
	{[2]byte{'I', 'E'}, 53.00, -8.00},    // Ireland
	{[2]byte{'I', 'L'}, 31.50, 34.75},    // Israel
	{[2]byte{'I', 'M'}, 54.25, -4.50},    // Isle of Man
	{[2]byte{'I', 'N'}, 20.00, 77.00},    // India
	{[2]byte{'I', 'O'}, -6.00, 71.50},    // British Indian Ocean Territory
	{[2]byte{'I', 'Q'}, 33.00, 44.00},    // Iraq
	{[2]byte{'I', 'R'}, 32.00, 53.00},    // Iran
	{[2]byte{'I', 'S'}, 65.00, -18.00},   // Iceland
	{[2]byte{'I', 'T'}, 42.83, 12.83},    // Italy
	{[2]byte{'J', 'E'}, 49.25, -2.17},    // Jersey
	{[2]byte{'J', 'M'}, 18.25, -77.50},   // Jamaica
	{[2]byte{'J', 'O'}, 31.00, 36.00},    // Jordan
	{[2]byte{'J', 'P'}, 36.00, 138.00},   // Japan
	{[2]byte{'K', 'E'}, 1.00, 38.00},     // Kenya
	{[2]byte{'K', 'G'}, 41.00, 75.00},    // Kyrgyzstan
	{[2]byte{'K', 'H'}, 13.00, 105.00},   // Cambodia
	{[2]byte{'K', 'I'}, 1.42, 173.00},    // Kiribati
	{[2]byte{'K', 'M'}, -12.17, 44.25},   // Comoros
	{[2]byte{'K', 'N'}, 17.33, -62.75},   // Saint Kitts and Nevis
	{[2]byte{'K', 'P'}, 40.00, 127.00},   // Korea (North)
	{[2]byte{'K', 'R'}, 37.00, 127.50},   // Korea (South)
	{[2]byte{'K', 'W'}, 29.50, 45.75},    // Kuwait
	{[2]byte{'K', 'Y'}, 19.50, -80.50},   // Cayman Islands
	{[2]byte{'K', 'Z'}, 48.00, 68.00},    // Kazakhstan
	{[2]byte{'L', 'A'}, 18.00, 105.00},   // Laos
	{[2]byte{'L', 'B'}, 33.83, 35.83},    // Lebanon
	{[2]byte{'L', 'C'}, 13.88, -60.97},   // Saint Lucia
	{[2]byte{'L', 'I'}, 47.27, 9.53},     // Liechtenstein
	{[2]byte{'L', 'K'}, 7.00, 81.00},     // Sri Lanka
	{[2]byte{'L', 'R'}, 6.50, -9.50},     // Liberia
	{[2]byte{'L', 'S'}, -29.50, 28.50},   // Lesotho
	{[2]byte{'L', 'T'}, 56.00, 24.00},    // Lithuania
	{[2]byte{'L', 'U'}, 49.75, 6.17},     // Luxembourg
	{[2]byte{'L', 'V'}, 57.00, 25.00},    // Latvia
	{[2]byte{'L', 'Y'}, 25.00, 17.00},    // Libya
	{[2]byte{'M', 'A'}, 32.00, -5.00},    // Morocco
	{[2]byte{'M', 'C'}, 43.73, 7.40},     // Monaco
	{[2]byte{'M', 'D'}, 47.00, 29.00},    // Moldova
	{[2]byte{'M', 'E'}, 42.50, 19.30},    // Montenegro
	{[2]byte{'M', 'F'}, 18.08, -63.95},   // Saint Martin (French part)
	{[2]byte{'M', 'G'}, -20.00, 47.00},   // Madagascar
	{[2]byte{'M', 'H'}, 9.00, 168.00},    // Marshall Islands
	{[2]byte{'M', 'K'}, 41.83, 22.00},    // North Macedonia
	{[2]byte{'M', 'L'}, 17.00, -4.00},    // Mali
	{[2]byte{'M', 'M'}, 22.00, 98.00},    // Myanmar
	{[2]byte{'M', 'N'}, 46.00, 105.00},   // Mongolia
	{[2]byte{'M', 'O'}, 22.17, 113.55},   // Macao
	{[2]byte{'M', 'P'}, 15.20, 145.75},   // Northern Mariana Islands
	{[2]byte{'M', 'Q'}, 14.67, -61.00},   // Martinique
	{[2]byte{'M', 'R'}, 20.00, -12.00},   // Mauritania
	{[2]byte{'M', 'S'}, 16.75, -62.20},   // Montserrat
	{[2]byte{'M', 'T'}, 35.83, 14.58},    // Malta
	{[2]byte{'M', 'U'}, -20.28, 57.55},   // Mauritius
	{[2]byte{'M', 'V'}, 3.25, 73.00},     // Maldives
	{[2]byte{'M', 'W'}, -13.50, 34.00},   // Malawi
	{[2]byte{'M', 'X'}, 23.00, -102.00},  // Mexico
	{[2]byte{'M', 'Y'}, 2.50, 112.50},    // Malaysia
	{[2]byte{'M', 'Z'}, -18.25, 35.00},   // Mozambique
	{[2]byte{'N', 'A'}, -22.00, 17.00},   // Namibia
	{[2]byte{'N', 'C'}, -21.50, 165.50},  // New Caledonia
	{[2]byte{'N', 'E'}, 16.00, 8.00},     // Niger
	{[2]byte{'N', 'F'}, -29.03, 167.95},  // Norfolk Island
	{[2]byte{'N', 'G'}, 10.00, 8.00},     // Nigeria
	{[2]byte{'N', 'I'}, 13.00, -85.00},   // Nicaragua
	{[2]byte{'N', 'L'}, 52.50, 5.75},     // Netherlands
	{[2]byte{'N', 'O'}, 62.00, 10.00},    // Norway
	{[2]byte{'N', 'P'}, 28.00, 84.00},    // Nepal
	{[2]byte{'N', 'R'}, -0.53, 166.92},   // Nauru
	{[2]byte{'N', 'U'}, -19.03, -169.87}, // Niue
	{[2]byte{'N', 'Z'}, -41.00, 174.00},  // New Zealand
	{[2]byte{'O', 'M'}, 21.00, 57.00},    // Oman
	{[2]byte{'P', 'A'}, 9.00, -80.00},    // Panama
	{[2]byte{'P', 'E'}, -10.00, -76.00},  // Peru
	{[2]byte{'P', 'F'}, -15.00, -140.00}, // French Polynesia
	{[2]byte{'P', 'G'}, -6.00, 147.00},   // Papua New Guinea
	{[2]byte{'P', 'H'}, 13.00, 122.00},   // Philippines
	{[2]byte{'P', 'K'}, 30.00, 70.00},    // Pakistan
	{[2]byte{'P', 'L'}, 52.00, 20.00},    // Poland
	{[2]byte{'P', 'M'}, 46.83, -56.33},   // Saint Pierre and Miquelon
	{[2]byte{'P', 'N'}, -25.07, -130.10}, // Pitcairn
	{[2]byte{'P', 'R'}, 18.25, -66.50},   // Puerto Rico
	{[2]byte{'P', 'S'}, 32.00, 35.25},    // Palestine
	{[2]byte{'P', 'T'}, 39.50, -8.00},    // Portugal
	{[2]byte{'P', 'W'}, 7.50, 134.50},    // Palau
	{[2]byte{'P', 'Y'}, -23.00, -58.00},  // Paraguay
	{[2]byte{'Q', 'A'}, 25.50, 51.25},    // Qatar
	{[2]byte{'R', 'E'}, -21.10, 55.60},   // Réunion
	{[2]byte{'R', 'O'}, 46.00, 25.00},    // Romania
	{[2]byte{'R', 'S'}, 44.00, 21.00},    // Serbia
	{[2]byte{'R', 'U'}, 55.75, 37.60},    // Russia (Moscow)
	{[2]byte{'R', 'W'}, -2.00, 30.00},    // Rwanda
	{[2]byte{'S', 'A'}, 25.00, 45.00},    // Saudi Arabia
	{[2]byte{'S', 'B'}, -8.00, 159.00},   // Solomon Islands
	{[2]byte{'S', 'C'}, -4.58, 55.67},    // Seychelles
	{[2]byte{'S', 'D'}, 15.00, 30.00},    // Sudan
	{[2]byte{'S', 'E'}, 62.00, 15.00},    // Sweden
	{[2]byte{'S', 'G'}, 1.37, 103.80},    // Singapore
	{[2]byte{'S', 'H'}, -15.95, -5.70},   // Saint Helena, Ascension and Tristan da Cunha
	{[2]byte{'S', 'I'}, 46.12, 14.82},    // Slovenia
	{[2]byte{'S', 'J'}, 78.00, 20.00},    // Svalbard and Jan Mayen
	{[2]byte{'S', 'K'}, 48.67, 19.50},    // Slovakia
	{[2]byte{'S', 'L'}, 8.50, -11.50},    // Sierra Leone
	{[2]byte{'S', 'M'}, 43.77, 12.42},    // San Marino
	{[2]byte{'S', 'N'}, 14.00, -14.00},   // Senegal
	{[2]byte{'S', 'O'}, 10.00, 49.00},    // Somalia
	{[2]byte{'S', 'R'}, 4.00, -56.00},    // Suriname
	{[2]byte{'S', 'S'}, 8.00, 30.00},     // South Sudan
	{[2]byte{'S', 'T'}, 1.00, 7.00},      // São Tomé and Príncipe
	{[2]byte{'S', 'V'}, 13.83, -88.92},   // El Salvador
	{[2]byte{'S', 'X'}, 18.04, -63.07},   // Sint Maarten (Dutch part)
	{[2]byte{'S', 'Y'}, 35.00, 38.00},    // Syria
	{[2]byte{'S', 'Z'}, -26.50, 31.50},   // Eswatini
	{[2]byte{'T', 'C'}, 21.75, -71.58},   // Turks and Caicos Islands
	{[2]byte{'T', 'D'}, 15.00, 19.00},    // Chad
	{[2]byte{'T', 'F'}, -49.35, 70.22},   // French Southern Territories (Kerguelen)
	{[2]byte{'T', 'G'}, 8.00, 1.17},      // Togo
	{[2]byte{'T', 'H'}, 15.00, 100.00},   // Thailand
	{[2]byte{'T', 'J'}, 39.00, 71.00},    // Tajikistan
	{[2]byte{'T', 'K'}, -9.00, -172.00},  // Tokelau
	{[2]byte{'T', 'L'}, -8.83, 125.92},   // Timor-Leste
	{[2]byte{'T', 'M'}, 40.00, 60.00},    // Turkmenistan
	{[2]byte{'T', 'N'}, 34.00, 9.00},     // Tunisia
	{[2]byte{'T', 'O'}, -20.00, -175.00}, // Tonga
	{[2]byte{'T', 'R'}, 39.00, 35.00},    // Türkiye
	{[2]byte{'T', 'T'}, 11.00, -61.00},   // Trinidad and Tobago
	{[2]byte{'T', 'V'}, -8.00, 178.00},   // Tuvalu
	{[2]byte{'T', 'W'}, 23.50, 121.00},   // Taiwan
	{[2]byte{'T', 'Z'}, -6.00, 35.00},    // Tanzania
	{[2]byte{'U', 'A'}, 49.00, 32.00},    // Ukraine
	{[2]byte{'U', 'G'}, 1.00, 32.00},     // Uganda
	{[2]byte{'U', 'M'}, 19.28, 166.65},   // United States Minor Outlying Islands (Wake Island)
	{[2]byte{'U', 'S'}, 38.00, -97.00},   // United States
	{[2]byte{'U', 'Y'}, -33.00, -56.00},  // Uruguay
	{[2]byte{'U', 'Z'}, 41.00, 64.00},    // Uzbekistan
	{[2]byte{'V', 'A'}, 41.90, 12.45},    // Holy See
	{[2]byte{'V', 'C'}, 13.25, -61.20},   // Saint Vincent and the Grenadines
	{[2]byte{'V', 'E'}, 8.00, -66.00},    // Venezuela
	{[2]byte{'V', 'G'}, 18.50, -64.50},   // Virgin Islands (British)
	{[2]byte{'V', 'I'}, 18.33, -64.83},   // Virgin Islands (U.S.)
	{[2]byte{'V', 'N'}, 16.17, 107.83},   // Viet Nam
	{[2]byte{'V', 'U'}, -16.00, 167.00},  // Vanuatu
	{[2]byte{'W', 'F'}, -13.30, -176.20}, // Wallis and Futuna
	{[2]byte{'W', 'S'}, -13.58, -172.33}, // Samoa
	{[2]byte{'X', 'K'}, 42.58, 21.00},    // Kosovo (user-assigned code)
	{[2]byte{'Y', 'E'}, 15.00, 48.00},    // Yemen
	{[2]byte{'Y', 'T'}, -12.83, 45.17},   // Mayotte
	{[2]byte{'Z', 'A'}, -29.00, 24.00},   // South Africa
	{[2]byte{'Z', 'M'}, -15.00, 30.00},   // Zambia
	{[2]byte{'Z', 'W'}, -20.00, 30.00},   // Zimbabwe
}
